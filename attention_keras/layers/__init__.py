"""Layers of the method and its networks, loaded on first use: `attention_keras.layers.choices` needs no
Keras."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
