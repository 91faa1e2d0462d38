"""Labels of images: one class each, any number of tags, or a number.

| kind | labels | class names |
|---|---|---|
| `single` | `(n,)` int32, numbers of classes | k |
| `multi` | `(n, k)` uint8, 1 for each tag that an image has | k |
| `number` | `(n,)` float32 | one, what the number is called |
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

Kind = Literal["single", "multi", "number"]
SEPARATOR = ";"
DECILES = 10


def kind_of(labels: np.ndarray) -> Kind:
    """Which kind they are."""
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
        return np.searchsorted(np.quantile(labels, np.arange(1, DECILES) / DECILES), labels, "right")
    rarity = np.where(labels, labels.sum(axis=0, dtype="int64"), np.iinfo("int64").max)
    return np.where(labels.any(axis=1), rarity.argmin(axis=1), labels.shape[1])


def in_words(labels: np.ndarray, class_names: Sequence[str]) -> list[str]:
    """Each label as a table has it."""
    kind = kind_of(labels)
    if kind == "number":
        return [f"{number:.9g}" for number in labels]
    if kind == "multi":
        return [SEPARATOR.join(class_names[tag] for tag in np.flatnonzero(row)) for row in labels]
    return [class_names[label] for label in labels]
