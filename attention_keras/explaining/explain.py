"""explain(): what a classifier says of images, and what each place of them says for a class."""

import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np

from attention_keras.errors import UserError, needs
from attention_keras.explaining.explanation import Explanation
from attention_keras.models.evidence import Asked, evidence_model, final_activation, prediction_of
from attention_keras.models.graph import functional
from attention_keras.models.outputs import EVIDENCE
from attention_keras.models.pretrained import needed_preprocessing, preprocessing_layer
from attention_keras.models.readout import activation_of

BATCH = 32
PREDICTED, ALL, SECOND = "predicted", "all", "second"
Class = str | int | np.integer

logger = logging.getLogger("attention_keras")


def explain(
    model: keras.Model,
    images: Any,
    of: Class | Sequence[Class] = PREDICTED,
    versus: Class | Sequence[Class] | None = None,
    *,
    preprocess: str | keras.layers.Layer | None = None,
) -> Explanation:
    """What a classifier says of images, and what each place says for a class: exact, signed, no gradients.

    Args:
        model: any Keras classifier whose logits are a sum over places (see `evidence_model`): of this
            package, of keras.applications with its head, or your own.
        images: an array `(n, H, W, c)` or `(H, W, c)` of pixels as the model takes them; the path of an image
            file or of a folder of them, or a list of paths. Files become RGB pixels from 0 to 255, cropped to
            the model's shape and resized.
        of: the class to explain: `predicted`, of each image; a name or a number, of all images, or a list
            with one for each; or `all` classes.
        versus: explain a class rather than this one: a name or a number, a list with one for each image, or
            `second`, the likeliest of the others.
        preprocess: what is done to the pixels before the model, where it has no preprocessing inside: a layer
            or the name of an application, as for `attend`.

    Returns:
        An `Explanation`.

    Raises:
        UserError: the logits are no sum over places, an unknown class, or images that do not fit.

    Example:
        >>> from attention_keras import build_model
        >>> images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
        >>> explain(build_model("vgg-att2-concat-pc", width=0.03), images, versus="second").total.shape
        (2, 32, 32)
    """
    pixels, names = _read(model, images)
    prepared = _prepared(model, pixels, preprocess)
    name, prediction = prediction_of(functional(model))
    class_names = _class_names(model, prediction.shape[-1])
    word = of if isinstance(of, str) and of in (PREDICTED, ALL) else None
    if word == ALL and versus is not None:
        raise UserError("versus= is for one class of each image; leave it out with of='all'")
    # One pass gives the answers and the evidence.
    asked = [] if word else [_numbers(of, class_names, len(pixels))]
    kind: Asked = "all" if word == ALL else "predicted" if word else "asked"
    outputs = _outputs(model, kind, prepared, *asked)
    probabilities = _probabilities(model, prediction, outputs[name])
    classes = asked[0] if asked else probabilities.argmax(-1)
    rivals = None
    if versus is not None:
        if not isinstance(versus, str) or versus != SECOND:
            rivals = _numbers(versus, class_names, len(pixels))
        elif len(class_names) < 2:
            raise UserError("versus='second' needs a model of several classes")
        else:
            others = np.where(np.arange(len(class_names)) == classes[:, None], -np.inf, probabilities)
            rivals = others.argmax(-1)
        other = _outputs(model, "asked", prepared, rivals)
        outputs |= {key: outputs[key] - value for key, value in other.items() if key.startswith(EVIDENCE)}
    classes = None if word == ALL else classes
    return Explanation.of_outputs(
        pixels, probabilities, outputs, class_names, classes, names, rivals, final_activation(model)
    )


def in_batches(call: Callable, arrays, size: int, *, progress: bool = False):
    """`call` on every batch of one array or of several; results joined, in the structure it returns.

    Rows of a file are read as they are needed. `progress` shows a bar on a terminal after a few seconds.
    """
    arrays = arrays if isinstance(arrays, tuple) else (arrays,)
    starts = range(0, len(arrays[0]), size)
    if progress:
        from attention_keras.progress import Bar  # the core of the package has no tqdm

        starts = Bar(starts, unit=" batches")
    parts = [call(*(np.asarray(array[start : start + size]) for array in arrays)) for start in starts]
    return keras.tree.map_structure(lambda *values: np.concatenate(values), *parts)


def _prepared(model: keras.Model, pixels: np.ndarray, preprocess) -> np.ndarray:
    """The pixels as the model takes them."""
    layer = preprocessing_layer(preprocess, pixels.shape[1:])
    if layer is not None:
        return keras.ops.convert_to_numpy(layer(pixels.astype("float32")))
    application = needed_preprocessing(functional(model)) if preprocess is None else None
    if application and pixels.min() >= 0 and pixels.max() > 2:
        said = "%s takes prepared pixels, and these look raw; say preprocess=%r"
        logger.warning(said, model.name, application)
    return pixels.astype("float32", copy=False)


def _read(model: keras.Model, images: Any) -> tuple[np.ndarray, list[str]]:
    """Pixels `(n, H, W, c)`, uint8 or float32, and a name for each image."""
    shape = tuple(functional(model).inputs[0].shape[1:])
    images = [images] if isinstance(images, str | Path) else images
    if isinstance(images, list | tuple) and images and isinstance(images[0], str | Path):
        return _read_files(images, shape, getattr(model, "value_range", None))
    pixels = np.asarray(keras.ops.convert_to_numpy(images))
    pixels = pixels[None] if pixels.ndim == len(shape) else pixels
    if pixels.ndim != 4 or any(side not in (None, own) for side, own in zip(shape, pixels.shape[1:])):
        raise UserError(f"the model takes images {shape}; got an array of shape {pixels.shape}")
    if not len(pixels):
        raise UserError("there are no images to explain")
    pixels = pixels if pixels.dtype == np.uint8 else pixels.astype("float32")
    return pixels, [str(index) for index in range(len(pixels))]


def _read_files(paths, shape, values) -> tuple[np.ndarray, list[str]]:
    with needs("reading image files", extra="serve"):
        from attention_keras.data.files import find_images
        from attention_keras.data.image_files import UnreadableImage, upright_size
        from attention_keras.data.images import PictureFormat, model_channels, read_image
    (height, width, channels), found = shape, []
    files = find_images(list(map(str, paths)))[0]
    for file in files:
        try:
            if height is None or width is None:  # any size: that of the first image
                height, width = upright_size(file)
            to = PictureFormat((height, width), "crop", values, model_channels(channels))
            found.append(read_image(file, to))
        except UnreadableImage as reason:
            raise UserError(f"cannot read {file}: {reason}") from None
    return np.stack(found), list(map(str, files))


def _probabilities(model: keras.Model, prediction, values: np.ndarray) -> np.ndarray:
    """Of a model whose output `prediction` has these values."""
    values = values.astype("float32")
    if activation_of(prediction) is not None:
        return values
    scaled = values / np.asarray(getattr(model, "temperature", 1.0), "float32")
    activation = keras.activations.get(final_activation(model))
    return keras.ops.convert_to_numpy(activation(keras.ops.convert_to_tensor(scaled)))


def _class_names(model: keras.Model, count: int) -> list[str]:
    """Those of the model; ImageNet's, where Keras has them on this machine; else numbers."""
    known = getattr(model, "class_names", None)
    if known is not None and len(known) == count:
        return list(known)
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    index = home / "models" / "imagenet_class_index.json"  # `decode_predictions` fetches it
    if count == 1000 and index.exists():
        entries = json.loads(index.read_text(encoding="utf-8"))
        return [entries[str(number)][1].replace("_", " ") for number in range(count)]
    return [str(number) for number in range(count)]


def _numbers(asked, names: list[str], count: int) -> np.ndarray:
    """The class that is asked about for each image, from names or numbers."""
    asked = [asked] * count if isinstance(asked, Class) else asked
    if len(asked) != count:
        raise UserError(f"there are {count} images and {len(asked)} classes; give one for each")
    for entry in set(asked):
        if isinstance(entry, str) and names.count(entry) != 1:
            known = f"the {len(names)} classes begin with {', '.join(names[:5])}"
            raise UserError(f"there is no one class called {entry!r}; {known}")
        if not isinstance(entry, str) and not 0 <= entry < len(names):
            raise UserError(f"the model has classes 0 to {len(names) - 1}; got {entry}")
    return np.array([names.index(entry) if isinstance(entry, str) else int(entry) for entry in asked])


_EXPLAINED: WeakKeyDictionary[keras.Model, dict[str, keras.Model]] = WeakKeyDictionary()


def _outputs(
    model: keras.Model, of: Asked, pixels: np.ndarray, *classes: np.ndarray
) -> dict[str, np.ndarray]:
    """Answers, attention and evidence in one pass; the network that gives them is made once."""
    made = _EXPLAINED.setdefault(model, {})
    if of not in made:
        made[of] = evidence_model(model, of=of)

    def call(*batch):
        return made[of].predict_on_batch(batch[0] if len(batch) == 1 else list(batch))

    return in_batches(call, (pixels, *(numbers.astype("int32") for numbers in classes)), BATCH)
