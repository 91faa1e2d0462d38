"""What every dataset becomes: uint8 images with labels, split by purpose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from attention_keras.data.rows import ImageRows, Rows

Role = Literal["train", "validation", "test"]


@dataclass(frozen=True, eq=False)
class Split:
    """Images of one purpose, row i of each field belonging together.

    Attributes:
        images: `(n, h, w, 3)` uint8, in memory or not. While a backbone is frozen, what it makes of them
            stands here (`FeatureRows`).
        labels: `(n,)` int32 in `[0, k)`.
        masks: `(n, h, w)` bool, true on the object, where the dataset has masks; all false on an image
            that has none.
        boxes: `(n, 4)` float32, `[y0, x0, y1, x1]` in pixels with exclusive ends, where it has boxes.
        digests: `(n,)` uint64, what the content of each image's file comes down to, where images are files.
        files: these files, for crops at their own resolution.
    """

    images: np.ndarray | Rows
    labels: np.ndarray
    masks: np.ndarray | Rows | None = None
    boxes: np.ndarray | None = None
    digests: np.ndarray | None = None
    files: ImageRows | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray | slice) -> "Split":
        """The images at `rows` (a slice or an index array), with all that belongs to them."""
        columns = (getattr(self, field.name) for field in fields(self))
        return Split(*(_taken(column, rows) for column in columns))


def _taken(column: np.ndarray | Rows | None, rows: np.ndarray | slice) -> np.ndarray | Rows | None:
    if isinstance(column, Rows):
        return column.take(rows)
    return None if column is None else column[rows]


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
