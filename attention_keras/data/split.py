"""What every dataset becomes: uint8 images with labels, split by purpose, and the object on them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from attention_keras.data.labels import Kind, kind_of
from attention_keras.data.membership import FileRecord
from attention_keras.data.registry import WHERE_MASKS_ARE
from attention_keras.data.rows import ImageRows, Rows
from attention_keras.errors import UserError

Role = Literal["train", "validation", "test"]
_READ_AT_ONCE = 1024
_CHOICE = 2  # keeps this draw apart from the others that are made from the run's seed


@dataclass(frozen=True, eq=False)
class Split:
    """Images `(n, h, w, 3)` uint8 of one purpose, their labels (`labels.py`), and what else is known of them.

    While a backbone is frozen, `images` are the features that it makes of them. Masks `(n, h, w)` bool are
    true on the object, and empty where an image has none. Boxes `(n, 4)` are `[y0, x0, y1, x1]` in pixels
    with exclusive ends. Images that were files have their `digests` `(n,)` uint64, the `units` `(n,)` uint64
    that must not be torn apart, and the `files` themselves. `groups` `(n,)` are names, empty without one, and
    `weights` `(n,)` float32 how much each image counts in the training.
    """

    images: np.ndarray | Rows
    labels: np.ndarray
    masks: np.ndarray | Rows | None = None
    boxes: np.ndarray | None = None
    digests: np.ndarray | None = None
    files: ImageRows | None = None
    units: np.ndarray | None = None
    groups: np.ndarray | None = None
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray | slice) -> "Split":
        """The images at `rows` (a slice or an index array), with all that belongs to them."""

        def taken(column):
            if isinstance(column, Rows):
                return column.take(rows)
            return None if column is None else column[rows]

        return Split(*(taken(getattr(self, field.name)) for field in fields(self)))


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """A dataset as training and evaluation see it.

    `load_test` reads the test split when `test()` is called, so that training cannot look at it by accident.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    mirror_symmetric: bool
    load_test: Callable[[], Split]
    files: Mapping[str, FileRecord] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(h, w, 3)`."""
        return tuple(self.train.images.shape[1:])

    @property
    def kind(self) -> Kind:
        """What the labels are."""
        return kind_of(self.train.labels)

    @property
    def values(self) -> tuple[float, float] | None:
        """What became black and white, of files of more than 8 bits."""
        files = self.train.files
        return files.to.values if files is not None and files.to else None

    @property
    def num_classes(self) -> int:
        """k; 1 of numbers."""
        return len(self.class_names)

    def test(self) -> Split:
        """The test split; read it once, at the end, and choose nothing by it."""
        return self.load_test()


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
    """The images `(n,)` bool whose object the training may know: a share of those that have one, or one."""
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
