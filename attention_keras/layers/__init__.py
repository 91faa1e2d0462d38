"""Keras layers of the method and its networks, for TensorFlow, JAX and PyTorch.

Names load on first use, so that `attention_keras.layers.choices` can be read without Keras.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
