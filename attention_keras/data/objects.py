"""Where the object is on the images of a split: which images say so, and which of them may tell it."""

from dataclasses import dataclass

import numpy as np

from attention_keras.data.registry import WHERE_MASKS_ARE
from attention_keras.data.split import ImageDataset, Split
from attention_keras.errors import UserError

_CHUNK = 1024
# Keeps this draw apart from the others that are made from the run's seed.
_CHOICE = 2


def images_with_object(split: Split) -> np.ndarray:
    """`(n,)` bool: the images with a mask that is not empty, or with a box where the split has no masks."""
    if split.masks is not None:
        starts = range(0, len(split), _CHUNK)  # masks may be on disk
        parts = [np.any(split.masks[start : start + _CHUNK], axis=(1, 2)) for start in starts]
        return np.concatenate([np.zeros(0, bool), *parts])
    if split.boxes is not None:
        return (split.boxes[:, 2:] > split.boxes[:, :2]).all(axis=1)
    return np.zeros(len(split), bool)


def choose_objects(split: Split, fraction: float, seed: int) -> np.ndarray:
    """The images whose object the training may know, drawn from those that have one.

    Args:
        split: of the training.
        fraction: share of the images with an object, in (0, 1]; one image at least where there are any.
        seed: fixes the draw. A smaller fraction of the same seed is a part of a larger one.

    Returns:
        `(n,)` bool.

    Example:
        >>> split = Split(np.zeros((10, 8, 8, 3), "uint8"), np.zeros(10, "int32"), np.ones((10, 8, 8), bool))
        >>> int(choose_objects(split, 0.3, seed=0).sum())
        3
    """
    rows = np.flatnonzero(images_with_object(split))
    count = min(len(rows), max(1, round(fraction * len(rows))))
    chosen = np.zeros(len(split), bool)
    chosen[np.random.default_rng([seed, _CHOICE]).permutation(rows)[:count]] = True
    return chosen


@dataclass(frozen=True, eq=False)
class Objects:
    """The images of a dataset that tell a training where their object is.

    Attributes:
        train: `(n,)` bool.
        validation: `(m,)` bool; all that have an object.
    """

    train: np.ndarray
    validation: np.ndarray

    @classmethod
    def of(cls, dataset: ImageDataset, fraction: float, seed: int) -> "Objects":
        """As `choose_objects` draws them.

        Raises:
            UserError: no training image has a mask or a box.
        """
        train = choose_objects(dataset.train, fraction, seed)
        if not train.any():
            raise UserError(f"{dataset.name} has no masks for attend_to; {WHERE_MASKS_ARE}")
        return cls(train, images_with_object(dataset.validation))

    @property
    def count(self) -> int:
        """Training images that tell it."""
        return int(self.train.sum())


@dataclass(frozen=True, eq=False)
class BoxMasks:
    """Masks of boxes, made when they are read: the pixels whose centres lie in the box.

    Attributes:
        boxes: `(n, 4)`, `[y0, x0, y1, x1]` in pixels with exclusive ends.
        size: `(h, w)` of the images.

    Example:
        >>> masks = BoxMasks(np.array([[0.0, 1.0, 1.0, 3.0]]), (2, 3))
        >>> masks.shape, masks[[0]].astype(int).tolist()
        ((1, 2, 3), [[[0, 1, 1], [0, 0, 0]]])
    """

    boxes: np.ndarray
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        return (len(self.boxes), *self.size)

    def __getitem__(self, rows) -> np.ndarray:
        y0, x0, y1, x1 = self.boxes[rows].T[..., None]
        y, x = (np.arange(length) + 0.5 for length in self.size)
        return ((y0 <= y) & (y < y1))[:, :, None] & ((x0 <= x) & (x < x1))[:, None, :]
