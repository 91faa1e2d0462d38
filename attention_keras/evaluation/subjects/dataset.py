"""The dataset that subjects are tested on, and whether its classes and images are theirs."""

from collections.abc import Sequence

from attention_keras.data.datasets import ImageDataset, has_free_size, load_dataset
from attention_keras.data.split import Split
from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.subject import Subject


def dataset_of(
    subjects: Sequence[Subject], name: str | None = None, data_dir: str | None = None
) -> ImageDataset:
    """The dataset `name`, or the one that all subjects were trained on.

    Where the subjects saw parts of it of different size, the largest part is loaded.

    Raises:
        UserError: no dataset is known, the subjects were trained on different ones, or test images of one
            may be training images of another.
    """
    trained = [subject for subject in subjects if subject.trained]
    datasets = sorted({subject.trained.data.dataset for subject in trained})
    if name is None and len(datasets) != 1:
        if datasets:
            raise UserError(f"the runs were trained on {' and '.join(datasets)}; evaluate them one by one")
        raise UserError(f"{subjects[0].path} does not say what it was trained on; give dataset")
    name = name or datasets[0]
    same = [subject for subject in trained if subject.trained.data.dataset == name]
    if not same:
        size = subjects[0].predictor.image_shape[0]
        return load_dataset(name, data_dir=data_dir, image_size=size if has_free_size(name) else None)
    whole = max(same, key=lambda subject: subject.trained.data.limit or float("inf"))
    if name.startswith("folder:") and len({subject.trained.data.limit for subject in same}) > 1:
        raise UserError(
            f"the runs were trained on parts of {name} of different size (limit), so test images of "
            "one may be training images of another; evaluate them one by one"
        )
    data, seed = whole.trained.data, whole.trained.seed
    return load_dataset(name, seed=seed, data_dir=data_dir or whole.data_dir, **data.for_loading())


def check_fit(subject: Subject, dataset: ImageDataset, test: Split) -> None:
    """Raise UserError unless the subject tells the dataset's classes apart on images of its size.

    Args:
        subject: the model.
        dataset: with k class names.
        test: its test images `(n, H, W, 3)`.
    """
    model = "the model" if subject.trained is None else subject.name
    known = subject.predictor.class_names
    if len(dataset.class_names) != subject.predictor.num_classes:
        differs = (
            f"tells {subject.predictor.num_classes} classes apart and {dataset.name} has "
            f"{len(dataset.class_names)}"
        )
    elif known is not None and list(known) != list(dataset.class_names):
        differs = (
            f"answers with classes such as {known[0]!r}, {dataset.name} has classes such as "
            f"{dataset.class_names[0]!r}"
        )
    elif tuple(test.images.shape[1:]) != tuple(subject.predictor.image_shape):
        raise UserError(
            f"{model} takes images of {subject.predictor.image_shape}, "
            f"{dataset.name} has {test.images.shape[1:]}"
        )
    else:
        return
    raise UserError(f"{model} {differs}; choose the dataset it was trained on")
