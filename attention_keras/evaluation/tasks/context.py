"""What every task is given: the runs, the images, the options."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from attention_keras.data.datasets import ImageDataset
from attention_keras.data.geometry import PictureFormat
from attention_keras.data.split import Split
from attention_keras.evaluation.options import CommonOptions
from attention_keras.evaluation.subjects.dataset import picture_format, tfds_folder
from attention_keras.evaluation.subjects.subject import Subject

Options = TypeVar("Options", bound=CommonOptions)


@dataclass(frozen=True, eq=False)
class Context(Generic[Options]):
    """The runs under test, the dataset whose classes they answer with, its whole test split, the options."""

    subjects: Sequence[Subject]
    dataset: ImageDataset
    test: Split
    options: Options

    def images(self, default: int | None = None) -> Split:
        """The first `limit` test images, or the first `default`, or all."""
        count = self.options.limit or default
        return self.test.take(slice(count)) if count else self.test

    @property
    def picture_format(self) -> PictureFormat:
        """What images that do not come from the dataset are brought to."""
        return picture_format(self.subjects)

    @property
    def tfds_folder(self) -> str | None:
        """Where TensorFlow Datasets keeps prepared data; None is its default."""
        return tfds_folder(self.subjects, self.options.data_dir)

    @property
    def class_names(self) -> tuple[str, ...]:
        """k names."""
        return self.dataset.class_names

    def mark(self, subject: Subject) -> str:
        """Suffix for a figure's name: nothing for a single run."""
        return "" if len(self.subjects) == 1 else f"-{subject.name}"


def one_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """Rows of the first image of each class, by class, then of the second of each, and so on.

    With more classes than `count` the classes are spread evenly.
    """
    seen: dict[int, int] = {}
    turn = np.empty(len(labels), int)
    for index, label in enumerate(labels.tolist()):
        turn[index] = seen[label] = seen.get(label, -1) + 1
    order = np.lexsort((labels, turn))
    first = order[: len(seen)]
    if len(first) > count:
        return first[np.linspace(0, len(first) - 1, count).round().astype(int)]
    return order[:count]
