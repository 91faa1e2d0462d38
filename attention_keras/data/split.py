"""What every dataset becomes: uint8 images with labels, split by purpose, and the object on them.

| kind | labels | class names |
|---|---|---|
| `single` | `(n,)` int32, numbers of classes | k |
| `multi` | `(n, k)` uint8, 1 for each tag that an image has | k |
| `number` | `(n,)` float32 | one, what the number is called |
"""

import functools
import hashlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, NamedTuple

import numpy as np

from attention_keras.data.registry import VALIDATION_FRACTION, WHERE_MASKS_ARE, FileRecord
from attention_keras.data.rows import ImageRows, Rows
from attention_keras.errors import UserError

Role = Literal["train", "validation", "test"]
ROLES: tuple[Role, ...] = ("train", "validation", "test")
Kind = Literal["single", "multi", "number"]
SEPARATOR = ";"
_CHOICE = 2  # keeps this draw apart from the others that are made from the run's seed

logger = logging.getLogger(__name__)


def kind_of(labels: np.ndarray) -> Kind:
    if labels.ndim == 2:
        return "multi"
    return "number" if labels.dtype.kind == "f" else "single"


def targets_of(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """What a network is to answer, `(n, k)` float32: one-hot, 1 for each tag, or the number."""
    if kind_of(labels) == "single":
        return np.eye(num_classes, dtype="float32")[labels]
    return labels.reshape(len(labels), num_classes).astype("float32")


def class_counts(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Images of each class or tag, `(k,)`; of numbers, all."""
    kind = kind_of(labels)
    if kind == "number":
        return np.array([len(labels)])
    if kind == "multi":
        return labels.sum(axis=0, dtype="int64")
    return np.bincount(labels, minlength=num_classes)


def members(labels: np.ndarray) -> Iterator[np.ndarray]:
    """For each class its images `(n,)` bool: for each tag those that have it, and those without any."""
    kind = kind_of(labels)
    if kind == "number":
        yield np.ones(len(labels), bool)
    elif kind == "multi":
        yield from labels.T.astype(bool)
        yield ~labels.any(axis=1)
    else:
        yield from (labels == label for label in np.unique(labels))


def strata(labels: np.ndarray) -> np.ndarray:
    """One class `(n,)` for each image, to mix or spread by: its rarest tag, or the tenth of its number."""
    kind = kind_of(labels)
    if kind == "single":
        return labels
    if kind == "number":
        return np.searchsorted(np.quantile(labels, np.arange(1, 10) / 10), labels, "right")
    rarity = np.where(labels, labels.sum(axis=0, dtype="int64"), np.iinfo("int64").max)
    return np.where(labels.any(axis=1), rarity.argmin(axis=1), labels.shape[1])


def labels_in_words(labels: np.ndarray, class_names: Sequence[str]) -> list[str]:
    kind = kind_of(labels)
    if kind == "number":
        return [f"{number:.9g}" for number in labels]
    if kind == "multi":
        return [SEPARATOR.join(class_names[tag] for tag in np.flatnonzero(row)) for row in labels]
    return [class_names[label] for label in labels]


@dataclass(frozen=True, eq=False)
class Split:
    """Images `(n, h, w, 3)` uint8 of one purpose, their labels, and what else is known of them.

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

    `test()` reads the test split, so that training cannot look at it by accident: once, at the end, and
    nothing is chosen by it.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Callable[[], Split]
    files: Mapping[str, FileRecord] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(h, w, 3)`."""
        return tuple(self.train.images.shape[1:])

    @property
    def kind(self) -> Kind:
        return kind_of(self.train.labels)

    @property
    def values(self) -> tuple[float, float] | None:
        """What became black and white, of files of more than 8 bits."""
        files = self.train.files
        return files.to.values if files is not None and files.to else None

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


@dataclass(frozen=True)
class Cut:
    """What a run asks of the split. `limit` keeps the first training images, and a fifth as many others."""

    seed: int
    validation_fraction: float
    limit: int | None

    def most(self, role: Role) -> int | None:
        return self.limit if role == "train" or self.limit is None else max(1, self.limit // 5)

    def check(self, name: str, roles: Collection[str]) -> None:
        """Refuse a share for validation where the dataset has a split for it."""
        if "validation" in roles and self.validation_fraction != VALIDATION_FRACTION:
            raise UserError(f"{name} has a validation split of its own; leave out validation_fraction")


def dataset_of_splits(
    name: str,
    class_names: Sequence[str],
    train: Split,
    validation: Split,
    test: Split | Callable[[], Split],
    files: Mapping[str, FileRecord] | None = None,
) -> ImageDataset:
    """`test` is a split where it was cut from the training images, else it is read when it is asked for."""
    if not len(train) or not len(validation):
        raise UserError(f"{name} has {len(train)} images to train on, and {len(validation)} to validate")
    if isinstance(test, Split):
        logger.warning("%s has no test split: %d training images are set aside for it", name, len(test))

    def digests(split: Split) -> list:
        if split.digests is not None:
            return split.digests.tolist()
        images = (split.images[row] for row in range(len(split)))
        return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]

    @functools.cache
    def load_and_compare() -> Split:
        found = test if isinstance(test, Split) else test()
        known = set(digests(train))
        if both := sum(digest in known for digest in digests(found)):
            logger.warning("%s: %d of %d test images are also in train", name, both, len(found))
        return found

    return ImageDataset(name, tuple(class_names), train, validation, load_and_compare, files)


def images_with_object(split: Split) -> np.ndarray:
    """`(n,)` bool: the images with a mask that is not empty, or with a box where the split has no masks."""
    if split.masks is not None:
        return np.array([split.masks[row].any() for row in range(len(split))], bool)  # they may be on disk
    if split.boxes is not None:
        return (split.boxes[:, 2:] > split.boxes[:, :2]).all(axis=1)
    return np.zeros(len(split), bool)


def all_objects_or_none(images: Split) -> Split:
    """Only some images may have a mask or a box; evaluation compares maps with all of them or none."""
    every = images_with_object(images).all()
    return images if every else replace(images, masks=None, boxes=None)


def choose_objects(split: Split, fraction: float, seed: int) -> np.ndarray:
    """The images `(n,)` bool whose object the training may know: a share of those that have one, or one."""
    rows = np.flatnonzero(images_with_object(split))
    count = min(len(rows), max(1, round(fraction * len(rows))))
    chosen = np.zeros(len(split), bool)
    chosen[np.random.default_rng([seed, _CHOICE]).permutation(rows)[:count]] = True
    return chosen


class Objects(NamedTuple):
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
