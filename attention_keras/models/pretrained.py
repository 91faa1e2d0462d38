"""Networks of keras.applications and keras_hub: how they are built, and what they want done to raw pixels."""

import difflib
import importlib
import re

import keras
import numpy as np

from attention_keras.errors import UserError, needs
from attention_keras.layers.choices import IMAGENET
from attention_keras.layers.preprocess import PixelAffine
from attention_keras.models.graph import functional, graph_nodes

DEFAULT_SIZE = 224
_SIZES = {
    **dict.fromkeys(("InceptionV3", "InceptionResNetV2", "Xception"), 299),
    **{"NASNetLarge": 331, "EfficientNetB1": 240, "EfficientNetB2": 260, "EfficientNetB3": 300},
    **{"EfficientNetB4": 380, "EfficientNetB5": 456, "EfficientNetB6": 528, "EfficientNetB7": 600},
    **{"EfficientNetV2B1": 240, "EfficientNetV2B2": 260, "EfficientNetV2B3": 300},
    **{"EfficientNetV2S": 384, "EfficientNetV2M": 480, "EfficientNetV2L": 480},
}
_LIKE_TORCH = "DenseNet121"  # the application whose preprocessing is that of Torch's networks
_NORMALIZES = (keras.layers.Rescaling, keras.layers.Normalization, PixelAffine)
_MOVES_PIXELS = (keras.layers.ZeroPadding2D, keras.layers.Resizing, keras.layers.CenterCrop)
_SUFFIX = re.compile(r"(\d\.\d\d(\d+|none))?")  # of the names of MobileNets: width, and size of the images
_APPLICATIONS = [name for name in dir(keras.applications) if name[0].isupper()]


def _application(name: str):
    """The function of keras.applications that builds the network `name`."""
    if name not in _APPLICATIONS:
        known = ", ".join(difflib.get_close_matches(name, _APPLICATIONS) or _APPLICATIONS)
        raise UserError(f"keras.applications has no {name!r}; perhaps one of {known}")
    return getattr(keras.applications, name)


def application_size(name: str) -> int:
    """Side of the images on which the weights of an application were trained."""
    return _SIZES.get(name, DEFAULT_SIZE)


def build_application(
    name: str, input_shape: tuple[int, int, int], weights: str | None = None
) -> keras.Model:
    """A network without its top, with weights of `imagenet`, of a file, or none."""
    make = _application(name)
    try:
        return make(include_top=False, weights=weights or None, input_shape=input_shape)
    # Keras raises what the network library, HDF5 or the shapes of the weights happen to raise.
    except Exception as error:
        if not weights:
            raise UserError(f"{name} cannot take images of {input_shape}: {error}") from None
        build_application(name, input_shape)  # refuses the size, if that is the reason
        if fetched := re.search(r"URL fetch failure on \S+/(\S+): ", str(error)):
            raise UserError(
                f"weights {weights} of {name} are not on this machine and cannot be downloaded; call "
                f"keras.applications.{name}(include_top=False) on one with a network, and copy "
                f"~/.keras/models/{fetched[1]} from there, or give that file as `weights`"
            ) from None
        said = _first_line(error)
        raise UserError(f"cannot use {weights} as weights of {name} without its top: {said}") from None


def build_preset(preset: str, image_shape: tuple[int, int, int] | None = None) -> keras.Model:
    """The backbone of a preset with its weights, for images `(h, w, 3)` or of the size it was saved with."""
    size = {} if image_shape is None else {"image_shape": tuple(image_shape)}
    with needs(f"keras_hub:{preset}", extra="hub"):
        from keras_hub.models import Backbone
    try:
        return Backbone.from_preset(preset, **size)
    # keras_hub has no set of errors of its own for a name, a network, or a size that does not fit.
    except Exception as error:
        raise UserError(f"cannot build keras_hub:{preset}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)[:200]


def begins_with_preprocessing(model: keras.Model) -> bool:
    """Whether a model normalises raw pixels itself: its graph begins with Rescaling or the like."""
    for node in graph_nodes(functional(model)):
        operation = node.operation
        if not node.input_tensors or isinstance(operation, _MOVES_PIXELS):
            continue
        if isinstance(operation, keras.Model):
            return begins_with_preprocessing(operation)
        own = keras.saving.get_registered_name(type(operation)).startswith("attention_keras>")
        return isinstance(operation, _NORMALIZES) or (own and operation.name.startswith("preprocess"))
    return False


def needed_preprocessing(model: keras.Model) -> str | None:
    """The application whose preprocessing a model needs: it is one by its name, and has none inside."""
    name = model.name.lower().replace("_", "")
    for known in _APPLICATIONS:
        if name.startswith(known.lower()) and _SUFFIX.fullmatch(name.removeprefix(known.lower())):
            has_own = begins_with_preprocessing(model) or application_pixels(known).is_identity
            return None if has_own else known
    return None


def preprocessing_layer(
    preprocess: str | keras.layers.Layer | None, image_shape: tuple[int | None, ...] = (None, None, 3)
) -> keras.layers.Layer | None:
    """What `attend(preprocess=...)` means, if pixels change; `image_shape` says where the colours are."""
    if preprocess is None or isinstance(preprocess, keras.layers.Layer):
        return preprocess
    if not isinstance(preprocess, str):
        raise UserError(
            "preprocess is a Keras layer, the name of an application such as 'ResNet50', or 'imagenet'; "
            f"got {type(preprocess).__name__}"
        )
    if len(image_shape) != 3 or 3 not in (image_shape[0], image_shape[-1]):
        raise UserError(
            f"preprocess={preprocess!r} is for RGB images (h, w, 3), and the backbone takes "
            f"{tuple(image_shape)}; give a layer of your own"
        )
    data_format = "channels_last" if image_shape[-1] == 3 else "channels_first"
    layer = application_pixels(_LIKE_TORCH if preprocess == IMAGENET else preprocess, data_format)
    return None if layer.is_identity else layer


def application_pixels(application: str, data_format: str | None = None) -> PixelAffine:
    """The `preprocess_input` of an application as a layer: every channel of its output is an affine function
    of one colour, so that its answers to black and to three pure colours tell all of it."""
    module = importlib.import_module(_application(application).__module__)
    colours = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)]).astype("float32")[:, None, None]
    answers = np.asarray(module.preprocess_input(colours, data_format="channels_last"))
    black, *pure = answers[:, 0, 0].astype("float64")
    slopes = (np.stack(pure) - black) / 255
    order = np.abs(slopes).argmax(axis=0)
    return PixelAffine(order, slopes[order, range(3)], black, data_format, name="preprocess")


def preset_pixels(preset: str) -> PixelAffine | None:
    """Scale and offset of a preset's image converter, from RGB in [0, 255]; None without one."""
    from keras_hub.layers import ImageConverter

    try:
        converter = ImageConverter.from_preset(preset)
    except Exception:  # a preset of the backbone alone; there is no way to ask but to try
        return None
    scale, offset = (
        np.broadcast_to(np.asarray(default if value is None else value, "float64").reshape(-1), 3)
        for value, default in ((converter.scale, 1), (converter.offset, 0))
    )
    return PixelAffine([0, 1, 2], scale, offset, "channels_last", name="preprocess")
