"""What every dataset becomes: uint8 images with labels, split by purpose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from attention_keras.data.array_store import DiskRows
from attention_keras.data.picture_rows import PictureRows


@dataclass(frozen=True, eq=False)
class Split:
    """Images of one purpose (train, validation or test), row i of each field belonging together.

    Attributes:
        images: `(n, h, w, 3)` uint8; an array, or where the set is larger than the memory limit `DiskRows`
            or, of a folder, `PictureRows`. While a backbone is frozen, what it makes of them stands here
            (`FeatureRows`).
        labels: `(n,)` int32 in `[0, k)`.
        masks: `(n, h, w)` bool, true on the object, where the dataset has masks; all false on an image
            that has none.
        boxes: `(n, 4)` float32, `[y0, x0, y1, x1]` in pixels with exclusive ends, where it has boxes.
        digests: `(n,)` uint64, what the content of each image's file comes down to, where images are files.
        pictures: these files, for crops at their own resolution.
    """

    images: np.ndarray | DiskRows | PictureRows
    labels: np.ndarray
    masks: np.ndarray | DiskRows | None = None
    boxes: np.ndarray | None = None
    digests: np.ndarray | None = None
    pictures: PictureRows | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray | slice) -> "Split":
        """The images at `rows` (a slice or an index array), with all that belongs to them."""
        fields = (self.images, self.labels, self.masks, self.boxes, self.digests, self.pictures)
        return Split(*(_rows_of(field, rows) for field in fields))


def _rows_of(field: np.ndarray | DiskRows | PictureRows | None, rows: np.ndarray | slice):
    if isinstance(field, (DiskRows, PictureRows)):
        return field.select(rows)
    return None if field is None else field[rows]


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """A dataset as training and evaluation see it.

    `test()` reads the test split when called, so that training cannot look at it by accident.

    Attributes:
        name: as given to `load_dataset`.
        class_names: k names, by label.
        train, validation: `Split`s without a common image.
        mirror_symmetric: whether a mirrored image still belongs to its class; false for digits.
        load_test: what `test()` calls.
        files: relative name of each file -> digest of its content, where the images are files.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    mirror_symmetric: bool
    load_test: Callable[[], Split]
    files: Mapping[str, str] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(h, w, 3)`."""
        return tuple(self.train.images.shape[1:])

    @property
    def num_classes(self) -> int:
        """k."""
        return len(self.class_names)

    def test(self) -> Split:
        """The test split; read it once, at the end, and choose nothing by it."""
        return self.load_test()


def cut_validation(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers for training and for validation, the same share of every class.

    Args:
        labels: `(n,)` labels of the official training split.
        fraction: share of validation rows, in (0, 1).
        seed: picks the rows.

    Returns:
        `(training_rows, validation_rows)`, ascending; `round(n * fraction)` validation rows, at least one.

    Example:
        >>> training, validation = cut_validation(np.array([0, 1] * 10), 0.2, seed=0)
        >>> len(training), np.bincount([0, 1] * 10)[validation % 2].size
        (16, 4)
    """
    count = len(labels)
    shuffled = np.random.default_rng(seed).permutation(count)
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    sizes = np.bincount(labels[by_class])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    place = np.arange(count) - starts[labels[by_class]]
    quantile = (place + 0.5) / sizes[labels[by_class]]
    held_out = by_class[np.argsort(quantile, kind="stable")][: max(1, round(count * fraction))]
    is_validation = np.zeros(count, bool)
    is_validation[held_out] = True
    return np.flatnonzero(~is_validation), np.flatnonzero(is_validation)
