"""What every dataset becomes: uint8 images with labels, split by purpose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from attention_keras.data.file_records import FileRecord
from attention_keras.data.labels import Kind, kind_of
from attention_keras.data.rows import ImageRows, Rows

Role = Literal["train", "validation", "test"]


@dataclass(frozen=True, eq=False)
class Split:
    """Images `(n, h, w, 3)` uint8 of one purpose, their labels (`labels.py`), and what else is known of them.

    While a backbone is frozen, `images` are the features that it makes of them. Masks `(n, h, w)` bool are
    true on the object, and empty where an image has none. Boxes `(n, 4)` are `[y0, x0, y1, x1]` in pixels
    with exclusive ends. Images that were files have their `digests` `(n,)` uint64, the `units` `(n,)`
    uint64 that must not be torn apart (of one group, or of one content), and the `files` themselves, for
    crops at their own resolution. `groups` `(n,)` are names, empty without one, and `weights`
    `(n,)` float32 how much each image counts in the training.
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
