"""The dataset that subjects are tested on, and whether its classes and images are theirs."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from attention_keras.data.datasets import (
    ImageDataset,
    has_free_size,
    load_dataset,
    load_unseen,
    seen_in_training,
)
from attention_keras.data.geometry import PictureFormat, Resize
from attention_keras.data.images import model_channels
from attention_keras.data.labels import Kind
from attention_keras.data.membership import Changes, FileRecord
from attention_keras.data.registry import IMAGE_FILES, TABLE
from attention_keras.data.split import Split
from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.predictor import TiledPredictor
from attention_keras.evaluation.subjects.subject import Subject

LABELS_OF: dict[str, Kind] = {"softmax": "single", "sigmoid": "multi", "linear": "number"}
"""What a model answers, by its activation."""

logger = logging.getLogger(__name__)


def dataset_of(
    subjects: Sequence[Subject],
    name: str = "",
    data_dir: str = "",
) -> ImageDataset:
    """The dataset `name`, or the one that all subjects were trained on.

    Where the subjects saw parts of it of different size, the largest part is loaded. A folder that no subject
    was trained on is all test images, but for images that a subject has seen elsewhere (a copy, a moved
    folder). Files that are new, gone or changed since training are counted in the log.
    """
    trained = [subject for subject in subjects if subject.trained]
    datasets = sorted({subject.trained.dataset for subject in trained})
    if not name and len(datasets) != 1:
        if datasets:
            raise UserError(f"the runs were trained on {' and '.join(datasets)}; evaluate them one by one")
        raise UserError(f"{subjects[0].path} does not say what it was trained on; give dataset")
    name = name or datasets[0]
    same = [subject for subject in trained if _is_same(subject.trained.dataset, name)]
    if not same:
        to = picture_format(subjects)
        if not name.startswith(IMAGE_FILES):
            if to is None:
                raise UserError(
                    f"{subjects[0].name} reads image files in tiles; give folder:PATH or table:FILE"
                )
            size = to.size[0] if has_free_size(name) else None
            folder = tfds_folder(subjects, data_dir)
            return load_dataset(name, data_dir=folder, image_size=size, resize=to.resize)
        seen = {digest for subject in subjects for digest in seen_in_training(subject.files or {})}
        columns = trained[0].trained.columns if trained and name.startswith(TABLE) else ()
        labels = LABELS_OF[subjects[0].predictor.activation] if name.startswith(TABLE) else "auto"
        return load_unseen(name, to, columns=columns, labels=labels, without=seen)
    if has_free_size(name):
        one_resize(same)
    whole = max(same, key=lambda subject: subject.trained.limit or float("inf"))
    folder = tfds_folder([whole], data_dir)
    how = whole.trained.for_loading()
    dataset = load_dataset(name, seed=whole.trained.seed, data_dir=folder, **how)
    for subject in same:
        if subject.files and dataset.files is not None:
            changes = Changes.between(_tested(subject.files), _tested(dataset.files))
            if changes:
                logger.warning("%s has changed since %s was trained: files %s", name, subject.name, changes)
    return dataset


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


def _is_same(one: str, other: str) -> bool:
    """Whether two names are of one dataset: folders and tables by the place they lead to."""
    (kind, _, path), (other_kind, _, other_path) = one.partition(":"), other.partition(":")
    if kind == other_kind and one.startswith(IMAGE_FILES):
        path, other_path = (str(Path(p).expanduser().resolve()) for p in (path, other_path))
    return (kind, path) == (other_kind, other_path)


def _tested(files: Mapping[str, FileRecord]) -> dict[str, FileRecord]:
    """Which files are for the test alone: the validation images are those of one seed."""
    return {path: record._replace(role=str(record.role == "test")) for path, record in files.items()}


def check_fit(subject: Subject, dataset: ImageDataset, test: Split) -> None:
    """Raise UserError unless the subject tells the dataset's classes apart on images of its size."""
    model = "the model" if subject.trained is None else subject.name
    known, answers = subject.predictor.class_names, LABELS_OF[subject.predictor.activation]
    if answers != dataset.kind:
        differs = f"answers with {answers} labels and {dataset.name} has {dataset.kind} ones"
    elif len(dataset.class_names) != subject.predictor.num_classes:
        differs = (
            f"tells {subject.predictor.num_classes} classes apart and {dataset.name} has "
            f"{len(dataset.class_names)}"
        )
    elif known is not None and list(known) != list(dataset.class_names):
        differs = (
            f"answers with classes such as {known[0]!r}, {dataset.name} has classes such as "
            f"{dataset.class_names[0]!r}"
        )
    elif test.images.shape[1] is None and not isinstance(subject.predictor, TiledPredictor):
        raise UserError(
            f"{model} takes batches of images, and {dataset.name} has files of any size; give the run"
        )
    elif tuple(test.images.shape[1:]) != tuple(subject.predictor.image_shape):
        raise UserError(
            f"{model} takes images of {subject.predictor.image_shape}, "
            f"{dataset.name} has {test.images.shape[1:]}"
        )
    else:
        return
    raise UserError(f"{model} {differs}; choose the dataset it was trained on")
