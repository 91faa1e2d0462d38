"""The same network computing in float32, whatever precision it was trained in."""

import re
from typing import Any

import keras

from attention_keras.models.copy_weights import computing_layers, copy_weights

LOW = re.compile("(mixed_)?b?float16")


def in_float32(model: keras.Model) -> keras.Model:
    """The network with the same weights, every layer of it computing in float32; itself if it does already.

    Mixed precision rounds to eight or eleven bits. That costs gradients and small changes of a pixel, and
    most runtimes have no bfloat16 convolution. Layers with a policy of their own and the layers of nested
    models are rebuilt too. The copy gives other numbers than the model: it does not round in between.

    Args:
        model: a functional model, such as one of `build_model`, `attend` or a file.

    Returns:
        A model of layers of its own, of the same class; or `model`.

    Example:
        >>> from attention_keras import build_model
        >>> keras.config.set_dtype_policy("mixed_bfloat16")
        >>> model = build_model("vgg-att1-pc", num_classes=2, width=0.03)
        >>> keras.config.set_dtype_policy("float32")
        >>> model.get_layer("conv13").compute_dtype, in_float32(model).get_layer("conv13").compute_dtype
        ('bfloat16', 'float32')
    """
    if not any(_is_low(layer) for layer in computing_layers(model)):
        return model

    def clone(layer):
        return layer.__class__.from_config(_raised(layer.get_config()))

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # for layers that make others inside
    try:
        copy = keras.models.clone_model(model, clone_function=clone)
    finally:
        keras.config.set_dtype_policy(policy)
    copy_weights(model, copy)
    return copy


def precision(model: keras.Model) -> str:
    """What the layers compute in: `mixed_bfloat16`, `mixed_float16`, `float32` and so on.

    Example:
        >>> precision(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, dtype="mixed_bfloat16")]))
        'mixed_bfloat16'
    """
    low = [layer.dtype_policy.name for layer in computing_layers(model) if _is_low(layer)]
    return low[0] if low else "float32"


def _is_low(layer: keras.layers.Layer) -> bool:
    return any(LOW.fullmatch(str(dtype)) for dtype in (layer.compute_dtype, layer.variable_dtype))


def _raised(config: Any) -> Any:
    """A configuration with float32 in place of every low type that it names, at any depth."""
    if isinstance(config, dict):
        return {key: _raised(value) for key, value in config.items()}
    if isinstance(config, list):
        return [_raised(value) for value in config]
    return "float32" if isinstance(config, str) and LOW.fullmatch(config) else config
