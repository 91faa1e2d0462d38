"""Image classifiers that show where they look: "Learn to Pay Attention" for Keras 3.

Public names load on first use, so that importing the package imports no framework.
The list of names is `__init__.pyi`, which type checkers read too.
"""

import lazy_loader

from attention_keras.registration import register_with_keras

__version__ = "0.3.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register_with_keras()
