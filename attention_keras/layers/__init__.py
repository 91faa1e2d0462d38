"""Layers of the method and its networks, loaded on first use: `attention_keras.layers.choices` needs no
Keras."""

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str):
    """After Keras: at the end of its import all our classes are registered, from modules that are whole."""
    if name in __all__:
        import keras  # noqa: F401
    return _load(name)
