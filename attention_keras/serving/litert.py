"""How a SavedModel in float32 becomes a LiteRT file, also one in int8, and the images that int8 needs."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attention_keras.data.files import find_images
from attention_keras.data.geometry import PictureFormat
from attention_keras.data.images import UnreadableImage, read_image
from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig

CALIBRATION, HELD_OUT = 100, 200


def refuse_any_size(image_shape: Sequence[int | None]) -> None:
    """LiteRT gets the shapes of maps wrong that depend on the size of the images."""
    if None in image_shape:
        raise UserError("litert needs images of one size, and this network takes any; give its input a size")


def write_litert(served, saved_model: Path, file: Path, calibration: np.ndarray | None = None) -> None:
    """The signatures that take images; those with strings are in TensorFlow's operations only.

    With images for its `calibration`, uint8 `(n, H, W, c)`, weights and activations have eight bits. Images
    stay uint8 and answers float32. There are no maps of evidence, which are exact in float32 only.
    """
    import tensorflow as tf

    refuse_any_size(served.image_shape)
    keys = ["serving_default", "classify"]
    if calibration is None:
        keys += ["explain", *["explain_class"] * served.has_evidence]
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=keys)
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            (key, {"images": image[None]}) for key in keys for image in calibration
        )
    with warnings.catch_warnings():  # TensorFlow warns of its own interpreter, with which it calibrates
        warnings.simplefilter("ignore", UserWarning)
        file.write_bytes(converter.convert())


@dataclass(frozen=True, eq=False)
class Representative:
    """Images as the network will see them, uint8 `(n, H, W, c)`: for the ranges of int8, and to compare."""

    calibration: np.ndarray
    held_out: np.ndarray


def images_of_run(config: RunConfig) -> Representative:
    """From the training and the validation split."""
    from attention_keras.data.datasets import load_dataset

    place = {"data_dir": config.data_dir or None}
    dataset = load_dataset(config.dataset, seed=config.seed, **place, **config.for_loading())
    chosen = [(dataset.train.images, CALIBRATION), (dataset.validation.images, HELD_OUT)]
    return Representative(*(np.asarray(images[_some_of(len(images), most)]) for images, most in chosen))


def images_of_folder(folder: str | Path, to: PictureFormat) -> Representative:
    """A third of them for the ranges, the others to compare on."""
    files, read = find_images([str(folder)]).files, []
    for row in _some_of(len(files), CALIBRATION + HELD_OUT):
        try:
            read.append(read_image(files[row], to))
        except UnreadableImage:
            continue
    if len(read) < 3:
        raise UserError(
            f"{folder} has {len(read)} images that can be read; int8 needs 3, better {CALIBRATION}"
        )
    third = len(read) // 3
    return Representative(np.stack(read[:third]), np.stack(read[third:]))


def _some_of(count: int, most: int) -> np.ndarray:
    """Row numbers in an order that depends on nothing but how many there are."""
    return np.random.default_rng(0).permutation(count)[:most]
