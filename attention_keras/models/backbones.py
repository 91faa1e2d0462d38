"""Backbones that the paper does not have: networks of keras.applications, and models of the user's own."""

import re

import keras

from attention_keras.errors import UserError
from attention_keras.layers.pixel_affine import PixelAffine
from attention_keras.models.graph import functional, graph_nodes
from attention_keras.models.preprocessing import find_application

DEFAULT_SIZE = 224
_SIZES = {
    **dict.fromkeys(("InceptionV3", "InceptionResNetV2", "Xception"), 299),
    **{"NASNetLarge": 331, "EfficientNetB1": 240, "EfficientNetB2": 260, "EfficientNetB3": 300},
    **{"EfficientNetB4": 380, "EfficientNetB5": 456, "EfficientNetB6": 528, "EfficientNetB7": 600},
    **{"EfficientNetV2B1": 240, "EfficientNetV2B2": 260, "EfficientNetV2B3": 300},
    **{"EfficientNetV2S": 384, "EfficientNetV2M": 480, "EfficientNetV2L": 480},
}
_NORMALIZES = (keras.layers.Rescaling, keras.layers.Normalization, PixelAffine)
_MOVES_PIXELS = (keras.layers.ZeroPadding2D, keras.layers.Resizing, keras.layers.CenterCrop)


def application_size(name: str) -> int:
    """Side of the images on which the weights of an application were trained.

    Example:
        >>> application_size("EfficientNetB3"), application_size("ResNet50")
        (300, 224)
    """
    return _SIZES.get(name, DEFAULT_SIZE)


def build_application(
    name: str, input_shape: tuple[int, int, int], weights: str | None = None
) -> keras.Model:
    """A network of keras.applications without its top.

    Args:
        name: for example `MobileNetV2`.
        input_shape: `(h, w, 3)`.
        weights: `imagenet`, the path of a file with weights of this network without its top, or None.

    Returns:
        A functional model, images to feature map, with the preprocessing that some have inside.

    Raises:
        UserError: no such application, a size that it does not take, or weights that are not to be had.

    Example:
        >>> build_application("MobileNetV2", (32, 32, 3)).output.shape
        (None, 1, 1, 1280)
    """
    make = find_application(name)
    if not weights:
        try:
            return make(include_top=False, weights=None, input_shape=input_shape)
        except ValueError as error:
            raise UserError(f"{name} cannot take images of {input_shape}: {error}") from None
    try:
        return make(include_top=False, weights=weights, input_shape=input_shape)
    # Keras raises what the network library, HDF5 or the shapes of the weights happen to raise.
    except Exception as error:
        build_application(name, input_shape)  # refuses the size, if that is the reason
        raise UserError(_no_weights(name, weights, error)) from None


def _no_weights(name: str, weights: str, error: Exception) -> str:
    """Why weights are not to be had, in one line, and what can be done."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    fetched = re.search(r"URL fetch failure on \S+/(\S+): ", said)
    if not fetched:
        return f"cannot use {weights} as weights of {name} without its top: {said[:200]}"
    return (
        f"weights {weights} of {name} are not on this machine and cannot be downloaded; call "
        f"keras.applications.{name}(include_top=False) on one with a network, and copy "
        f"~/.keras/models/{fetched[1]} from there, or give that file as `weights`"
    )


def begins_with_preprocessing(backbone: keras.Model) -> bool:
    """Whether a backbone normalises raw pixels itself: its graph begins with Rescaling or the like.

    Example:
        >>> begins_with_preprocessing(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Rescaling(2.0)]))
        True
    """
    for node in graph_nodes(functional(backbone)):
        operation = node.operation
        if not node.input_tensors or isinstance(operation, _MOVES_PIXELS):
            continue
        if isinstance(operation, keras.Model):
            return begins_with_preprocessing(operation)
        own = keras.saving.get_registered_name(type(operation)).startswith("attention_keras>")
        return isinstance(operation, _NORMALIZES) or (own and operation.name.startswith("preprocess"))
    return False
