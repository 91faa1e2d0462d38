"""The object on the images of a split: which have a mask or a box of it, and which a training may use."""

from dataclasses import dataclass

import numpy as np

from attention_keras.data.registry import WHERE_MASKS_ARE
from attention_keras.data.rows import Rows
from attention_keras.data.split import ImageDataset, Split
from attention_keras.errors import UserError

_READ_AT_ONCE = 1024
# Keeps this draw apart from the others that are made from the run's seed.
_CHOICE = 2


def images_with_object(split: Split) -> np.ndarray:
    """`(n,)` bool: the images with a mask that is not empty, or with a box where the split has no masks."""
    if split.masks is not None:
        starts = range(0, len(split), _READ_AT_ONCE)  # masks may be on disk
        parts = [np.any(split.masks[start : start + _READ_AT_ONCE], axis=(1, 2)) for start in starts]
        return np.concatenate([np.zeros(0, bool), *parts])
    if split.boxes is not None:
        return (split.boxes[:, 2:] > split.boxes[:, :2]).all(axis=1)
    return np.zeros(len(split), bool)


def choose_objects(split: Split, fraction: float, seed: int) -> np.ndarray:
    """The images `(n,)` bool whose object the training may know: a share of those that have one, or one.

    A smaller fraction of the same seed is a part of a larger one.
    """
    rows = np.flatnonzero(images_with_object(split))
    count = min(len(rows), max(1, round(fraction * len(rows))))
    chosen = np.zeros(len(split), bool)
    chosen[np.random.default_rng([seed, _CHOICE]).permutation(rows)[:count]] = True
    return chosen


@dataclass(frozen=True, eq=False)
class Objects:
    """The images `(n,)` bool of each split that tell a training where their object is."""

    train: np.ndarray
    validation: np.ndarray

    @classmethod
    def of(cls, dataset: ImageDataset, fraction: float, seed: int) -> "Objects":
        """As `choose_objects` draws them; UserError where no training image has a mask or a box."""
        train = choose_objects(dataset.train, fraction, seed)
        if not train.any():
            raise UserError(f"{dataset.name} has no masks for attend_to; {WHERE_MASKS_ARE}")
        return cls(train, images_with_object(dataset.validation))

    @property
    def count(self) -> int:
        """Training images that tell it."""
        return int(self.train.sum())


class BoxMasks(Rows):
    """Masks `(n, h, w)` of boxes `(n, 4)`, made when they are read: the pixels with their centre in it."""

    def __init__(self, boxes: np.ndarray, size: tuple[int, int]):
        self._boxes, self._size = boxes, size
        self.shape, self.dtype = (len(boxes), *size), np.dtype(bool)

    def __getitem__(self, index) -> np.ndarray:
        y0, x0, y1, x1 = self._boxes[index].T[..., None]
        y, x = (np.arange(length) + 0.5 for length in self._size)
        return ((y0 <= y) & (y < y1))[:, :, None] & ((x0 <= x) & (x < x1))[:, None, :]

    def take(self, index) -> "BoxMasks":
        return BoxMasks(self._boxes[index], self._size)
