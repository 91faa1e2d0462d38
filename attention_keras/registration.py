"""Makes Keras know this package's layers, so that `keras.models.load_model` finds them in a file.

Keras looks a class of a saved file up among those registered so far. Importing the package imports no
framework, so its classes register right after Keras has been imported, whichever of the two comes first.
"""

import importlib.abc
import importlib.util
import sys


def register() -> None:
    """Register every class that a saved model of this package can hold. Imports Keras."""
    from attention_keras.layers import compatibility, evidence, preprocess  # noqa: F401
    from attention_keras.models import classifier, tiled  # noqa: F401, which bring the other layers


def register_with_keras() -> None:
    """Register now if Keras has been imported, else as soon as it is."""
    if "keras" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, _AfterKeras())


class _AfterKeras(importlib.abc.MetaPathFinder):
    """Calls `register` at the end of the import of Keras: TensorFlow asks where it is before that."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        sys.meta_path.remove(self)  # while the others look
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module):
                execute(module)
                sys.meta_path.remove(self)
                register()

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
