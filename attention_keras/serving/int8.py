"""LiteRT in int8: images that set the ranges of its numbers, and how many answers stay the Keras model's."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attention_keras.data.files import find_images
from attention_keras.data.geometry import PictureFormat
from attention_keras.data.images import UnreadableImage, read_image
from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig

CALIBRATION, HELD_OUT = 100, 200


@dataclass(frozen=True, eq=False)
class Representative:
    """Images as the network will see them, uint8 `(n, H, W, c)`: for its ranges, and others to compare on."""

    calibration: np.ndarray
    held_out: np.ndarray


def images_of_run(config: RunConfig) -> Representative:
    """From the training and the validation split."""
    from attention_keras.data.datasets import load_dataset

    place = {"data_dir": config.data_dir or None}
    try:
        dataset = load_dataset(config.dataset, seed=config.seed, **place, **config.for_loading())
    except UserError as error:
        raise UserError(
            f"{error}; int8 needs images of this kind, from a folder where these are gone"
        ) from None
    chosen = [(dataset.train.images, CALIBRATION), (dataset.validation.images, HELD_OUT)]
    return Representative(*(np.asarray(images[_rows(len(images), most)]) for images, most in chosen))


def images_of_folder(folder: str | Path, to: PictureFormat) -> Representative:
    """A third of them for the ranges, the others to compare on."""
    files = find_images([str(folder)]).files
    read = []
    for row in _rows(len(files), CALIBRATION + HELD_OUT):
        try:
            read.append(read_image(files[row], to))
        except UnreadableImage:
            continue
    if len(read) < 3:
        raise UserError(
            f"{folder} has {len(read)} images that can be read; int8 needs 3, better {CALIBRATION}"
        )
    images = np.stack(read)
    third = len(images) // 3
    return Representative(images[:third], images[third:])


def _rows(count: int, most: int) -> np.ndarray:
    """So many rows of all, in an order that depends on nothing but their number."""
    return np.random.default_rng(0).permutation(count)[:most]


def same_answers(
    found: np.ndarray, wanted: np.ndarray, activation: str, thresholds: np.ndarray | float
) -> int:
    """Of probabilities `(n, k)`, the images whose class, or all of whose tags, are those that are wanted."""
    if activation == "sigmoid":
        same = ((found >= thresholds) == (wanted >= thresholds)).all(axis=1)
    else:
        same = found.argmax(axis=1) == wanted.argmax(axis=1)
    return int(same.sum())
