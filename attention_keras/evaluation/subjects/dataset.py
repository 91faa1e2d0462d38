"""What is tested: the models, the dataset whose classes they answer with, and which of its images."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from attention_keras.data import datasets as data
from attention_keras.data.images import PictureFormat, model_channels
from attention_keras.data.registry import IMAGE_FILES, TABLE, FileRecord, Resize, changes_between
from attention_keras.data.split import Kind, Split
from attention_keras.errors import UserError
from attention_keras.evaluation.options import CommonOptions
from attention_keras.evaluation.subjects.load import Subject
from attention_keras.evaluation.subjects.predictor import TiledPredictor

LABELS_OF: dict[str, Kind] = {"softmax": "single", "sigmoid": "multi", "linear": "number"}
"""What a model answers, by its activation."""
Options = TypeVar("Options", bound=CommonOptions)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Context(Generic[Options]):
    """What every task is given: the models, their dataset, its whole test split, and the options."""

    subjects: Sequence[Subject]
    dataset: data.ImageDataset
    test: Split
    options: Options

    def images(self, default: int | None = None) -> Split:
        """The first `limit` test images, or the first `default`, or all."""
        count = self.options.limit or default
        return self.test.take(slice(count)) if count else self.test

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.dataset.class_names

    def mark(self, subject: Subject) -> str:
        """Suffix for a figure's name: nothing for a single run."""
        return "" if len(self.subjects) == 1 else f"-{subject.name}"


def one_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """Rows of the first image of each class, then of the second; of too many classes evenly spread ones."""
    by_class = np.argsort(labels, kind="stable")
    _, starts, counts = np.unique(labels, return_index=True, return_counts=True)
    turns = np.concatenate([np.arange(n) for n in counts]) if len(labels) else by_class
    order = by_class[np.argsort(turns, kind="stable")]
    if len(starts) > count:
        return order[np.linspace(0, len(starts) - 1, count).round().astype(int)]
    return order[:count]


def dataset_of(subjects: Sequence[Subject], name: str = "", data_dir: str = "") -> data.ImageDataset:
    """The dataset `name`, or the one that all subjects were trained on, in its largest part. A folder that no
    subject was trained on is all test images, but for those seen elsewhere. The log counts changed files."""
    trained = [subject for subject in subjects if subject.trained]
    datasets = sorted({subject.trained.dataset for subject in trained})
    if not name and len(datasets) > 1:
        raise UserError(f"the runs were trained on {' and '.join(datasets)}; evaluate them one by one")
    if not name and not datasets:
        raise UserError(f"{subjects[0].path} does not say what it was trained on; give dataset")
    name = name or datasets[0]
    same = [subject for subject in trained if _place(subject.trained.dataset) == _place(name)]
    if not same:
        return _other_dataset(subjects, name, data_dir)
    if data.has_free_size(name):
        one_resize(same)
    whole = max(same, key=lambda subject: subject.trained.limit or float("inf"))
    how = whole.trained.for_loading() | {"data_dir": tfds_folder([whole], data_dir)}
    dataset = data.load_dataset(name, seed=whole.trained.seed, **how)
    for subject in same:
        known, now = subject.files, dataset.files
        if known and now is not None and (changes := changes_between(_tested(known), _tested(now))):
            logger.warning("%s has changed since %s was trained: files %s", name, subject.name, changes)
    return dataset


def _place(dataset: str) -> str:
    """The same for two names of one dataset: folders and tables by the place they lead to."""
    kind, _, path = dataset.partition(":")
    return f"{kind}:{Path(path).expanduser().resolve()}" if dataset.startswith(IMAGE_FILES) else dataset


def _tested(files: Mapping[str, FileRecord]) -> dict[str, FileRecord]:
    """Which files are for the test alone: the validation images are those of one seed."""
    return {path: record._replace(role=str(record.role == "test")) for path, record in files.items()}


def _other_dataset(subjects: Sequence[Subject], name: str, data_dir: str) -> data.ImageDataset:
    """One that no subject was trained on."""
    to = picture_format(subjects)
    if name.startswith(IMAGE_FILES):
        seen = {digest for subject in subjects for digest in data.seen_in_training(subject.files or {})}
        of_table = name.startswith(TABLE)
        trained = [subject.trained for subject in subjects if subject.trained]
        columns = trained[0].columns if trained and of_table else ()
        labels = LABELS_OF[subjects[0].predictor.activation] if of_table else "auto"
        return data.load_unseen(name, to, columns=columns, labels=labels, without=seen)
    if to is None:
        raise UserError(f"{subjects[0].name} reads image files in tiles; give folder:PATH or table:FILE")
    how = {"resize": to.resize, "image_size": to.size[0] if data.has_free_size(name) else None}
    return data.load_dataset(name, data_dir=tfds_folder(subjects, data_dir), **how)


def tfds_folder(subjects: Sequence[Subject], given: str = "") -> str | None:
    """Where TensorFlow Datasets keeps prepared data: as given, as in a training, or None, its default."""
    return given or next((subject.data_dir for subject in subjects if subject.data_dir), None)


def picture_format(subjects: Sequence[Subject]) -> PictureFormat | None:
    """What images from elsewhere are brought to for these subjects; None where they stay as they are."""
    first = subjects[0].predictor
    *size, channels = first.image_shape
    if not all(size):
        return None
    return PictureFormat(tuple(size), one_resize(subjects), first.value_range, model_channels(channels))


def one_resize(subjects: Sequence[Subject]) -> Resize:
    """How all of these subjects want images of another shape; one answer, else a UserError."""
    known = [s for s in subjects if s.trained or s.predictor.card] or subjects  # a .keras file does not say
    ways = {subject.predictor.resize: subject.name for subject in known}
    if len(ways) > 1:
        each = " and ".join(f"{name} ({way})" for way, name in ways.items())
        raise UserError(f"{each} resize images in different ways; evaluate them one by one")
    return next(iter(ways))


def check_fit(subject: Subject, dataset: data.ImageDataset, test: Split) -> None:
    """Raise UserError unless the subject tells the dataset's classes apart on images of its size."""
    model, predictor = "the model" if subject.trained is None else subject.name, subject.predictor
    known, answers, named = predictor.class_names, LABELS_OF[predictor.activation], dataset.class_names
    other = "; choose the dataset it was trained on"
    if answers != dataset.kind:
        differs = f"answers with {answers} labels and {dataset.name} has {dataset.kind} ones{other}"
    elif len(named) != predictor.num_classes:
        differs = f"tells {predictor.num_classes} classes apart and {dataset.name} has {len(named)}{other}"
    elif known is not None and list(known) != list(named):
        differs = f"answers with classes such as {known[0]!r}, {dataset.name} has {named[0]!r}{other}"
    elif test.images.shape[1] is None and not isinstance(predictor, TiledPredictor):
        differs = f"takes batches of images, and {dataset.name} has files of any size; give the run"
    elif tuple(test.images.shape[1:]) != tuple(predictor.image_shape):
        differs = f"takes images of {predictor.image_shape}, {dataset.name} has {test.images.shape[1:]}"
    else:
        return
    raise UserError(f"{model} {differs}")
