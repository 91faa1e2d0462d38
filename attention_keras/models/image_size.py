"""A backbone for images of another size: the same graph and weights."""

from typing import Any

import keras

from attention_keras.errors import UserError
from attention_keras.models.copies import copy_weights
from attention_keras.models.graph import functional


def for_image_size(backbone: keras.Model, size: tuple[int, int]) -> keras.Model:
    """A copy of a convolutional backbone that takes images of `size` `(height, width)`.

    Larger images make a larger map, on which small objects have places of their own.

    Args:
        backbone: images in; layers of it may be models themselves.
        size: in pixels.

    Raises:
        UserError: weights of the backbone depend on the size of its images, or the images are too small.

    Example:
        >>> images = keras.Input((32, 32, 3))
        >>> backbone = keras.Model(images, keras.layers.Conv2D(8, 3, strides=2, padding="same")(images))
        >>> for_image_size(backbone, (64, 48)).output.shape
        (None, 32, 24, 8)
    """
    model = functional(backbone)
    config = _with_free_inputs(model.get_config())
    for layer in config["layers"]:
        if layer["class_name"] == "InputLayer":
            shape = layer["config"]["batch_shape"]
            layer["config"]["batch_shape"] = (shape[0], *size, *shape[3:])
    try:
        resized = type(model).from_config(config)
        copy_weights(model, resized)
    except ValueError as error:
        raise UserError(
            f"{backbone.name} cannot take images of {size[1]}x{size[0]}: only a convolutional network takes "
            f"any size ({str(error).strip().splitlines()[0]})"
        ) from None
    return resized


def _with_free_inputs(config: Any) -> Any:
    """A configuration of a model in which no image size is said, in nested models neither."""
    if isinstance(config, list | tuple):
        return type(config)(_with_free_inputs(part) for part in config)
    if not isinstance(config, dict):
        return config
    config = {
        # What layers were built with is found anew.
        name: _with_free_inputs(part)
        for name, part in config.items()
        if name != "build_config"
    }
    shape = config.get("batch_shape")
    if isinstance(shape, list | tuple) and len(shape) == 4:
        config["batch_shape"] = (shape[0], None, None, shape[3])
    return config
