"""What a pretrained network wants done to raw pixels, as a layer of the graph."""

import difflib
import importlib

import keras
import numpy as np

from attention_keras.errors import UserError
from attention_keras.layers.choices import IMAGENET
from attention_keras.layers.pixel_affine import PixelAffine

_LIKE_TORCH = "DenseNet121"  # the application whose preprocessing is that of Torch's networks


def find_application(name: str):
    """The function of keras.applications that builds the network `name`.

    Raises:
        UserError: there is no such application; the message names the closest.
    """
    known = [entry for entry in dir(keras.applications) if entry[0].isupper()]
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
        raise UserError(f"keras.applications has no {name!r}; the closest names are {', '.join(close)}")
    return getattr(keras.applications, name)


def application_pixels(application: str, data_format: str | None = None) -> PixelAffine:
    """The `preprocess_input` of an application, from RGB pixels in [0, 255], as a layer.

    Each `preprocess_input` makes every channel of its output an affine function of one colour channel, so
    its answers to black and to the three pure colours tell all of it.

    Args:
        application: for example `ResNet50`. EfficientNet, ConvNeXt and MobileNetV3 have their preprocessing
            inside, and their layer here is an identity.
        data_format: of the images; Keras's own setting by default.

    Raises:
        UserError: there is no such application.

    Example:
        >>> application_pixels("ResNet50").order
        [2, 1, 0]
    """
    module = importlib.import_module(find_application(application).__module__)
    colours = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)]).astype("float32")
    answers = np.asarray(
        module.preprocess_input(colours[:, None, None, :].copy(), data_format="channels_last")
    )
    black, *pure = answers[:, 0, 0].astype("float64")
    slopes = (np.stack(pure) - black) / 255
    order = np.abs(slopes).argmax(axis=0)
    return PixelAffine(order, slopes[order, range(3)], black, data_format, name="preprocess")


def preprocessing_layer(
    preprocess: str | keras.layers.Layer | None, image_shape: tuple[int | None, ...] | None = None
) -> keras.layers.Layer | None:
    """The layer that `attend(preprocess=...)` means; None where pixels stay as they are.

    Args:
        preprocess: a layer, the name of an application, or `imagenet`: ImageNet's mean taken off and divided
            by its deviation, as Torch's networks expect.
        image_shape: of the images, without the batch: it says where the colours are. None for Keras's own
            setting.

    Raises:
        UserError: neither a layer nor the name of an application, or the images have no three colours.
    """
    if isinstance(preprocess, str):
        application = _LIKE_TORCH if preprocess == IMAGENET else preprocess
        layer = application_pixels(application, image_shape and _data_format(preprocess, image_shape))
        return None if layer.is_identity else layer
    if preprocess is not None and not isinstance(preprocess, keras.layers.Layer):
        raise UserError(
            "preprocess is a Keras layer, the name of an application such as 'ResNet50', or 'imagenet'; "
            f"got {type(preprocess).__name__}"
        )
    return preprocess


def _data_format(preprocess: str, image_shape: tuple[int | None, ...]) -> str:
    """Where the three colours of the images are."""
    if len(image_shape) == 3:
        for data_format, channels in (("channels_last", image_shape[-1]), ("channels_first", image_shape[0])):
            if channels == 3:
                return data_format
    raise UserError(
        f"preprocess={preprocess!r} is for RGB images (h, w, 3), and the backbone takes "
        f"{tuple(image_shape)}; give a layer of your own"
    )
