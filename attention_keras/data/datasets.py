"""Datasets by name: the registry, and `load_dataset` from a name to uint8 arrays."""

import difflib
import functools
from dataclasses import dataclass
from pathlib import Path

from attention_keras.data import class_names, cluttered_digits
from attention_keras.data.split import ImageDataset, Split, cut_validation
from attention_keras.errors import UserError

__all__ = ["DATASETS", "DatasetSpec", "ImageDataset", "Split", "load_dataset"]


@dataclass(frozen=True)
class DatasetSpec:
    """What there is to know about a dataset before its data are read.

    Attributes:
        name: what `--dataset` takes.
        tfds: name in TensorFlow Datasets; None for the embedded dataset.
        image_shape: `(h, w, 3)` of the arrays.
        num_classes: k.
        mirror_symmetric: whether a mirrored image still belongs to its class.
        about: one line for lists.
        class_names: used where the prepared copy has numbers only.
    """

    name: str
    tfds: str | None
    image_shape: tuple[int, int, int]
    num_classes: int
    mirror_symmetric: bool
    about: str
    class_names: tuple[str, ...] | None = None


_THUMBNAIL = (32, 32, 3)

# Digits are not mirror-symmetric: a mirrored 2 is no digit, and a mirrored 5 looks like a 2.
_SPECS = (
    DatasetSpec(
        name="cluttered_digits",
        tfds=None,
        image_shape=_THUMBNAIL,
        num_classes=10,
        mirror_symmetric=False,
        about="embedded: real handwritten digits in cluttered scenes, with masks and boxes",
    ),
    DatasetSpec(
        name="svhn",
        tfds="svhn_cropped",
        image_shape=_THUMBNAIL,
        num_classes=10,
        mirror_symmetric=False,
        about="street view house numbers, the middle digit",
    ),
    DatasetSpec(
        name="cifar10",
        tfds="cifar10",
        image_shape=_THUMBNAIL,
        num_classes=10,
        mirror_symmetric=True,
        about="CIFAR-10: animals and vehicles",
        class_names=class_names.CIFAR10,
    ),
    DatasetSpec(
        name="cifar100",
        tfds="cifar100",
        image_shape=_THUMBNAIL,
        num_classes=100,
        mirror_symmetric=True,
        about="CIFAR-100 with its fine labels",
        class_names=class_names.CIFAR100,
    ),
)
DATASETS = {spec.name: spec for spec in _SPECS}


def load_dataset(
    name: str,
    *,
    data_dir: str | Path | None = None,
    seed: int = 0,
    validation_fraction: float = 0.1,
    limit: int | None = None,
) -> ImageDataset:
    """Read a dataset; its test split stays unread until `dataset.test()`.

    A validation split is cut from the training images, stratified by class. `cluttered_digits` brings
    its own, made of digits that are in no other split.

    Args:
        name: a key of `DATASETS`.
        data_dir: where TensorFlow Datasets keeps prepared data; by default `TFDS_DATA_DIR` or
            `~/tensorflow_datasets`.
        seed: picks the validation images.
        validation_fraction: share of the training images held out, in (0, 1).
        limit: keep only the first `limit` training and `limit / 5` test images.

    Returns:
        An `ImageDataset`.

    Raises:
        UserError: an unknown name, an unusable option, or data that are neither prepared nor to be had.

    Example:
        >>> dataset = load_dataset("cluttered_digits", limit=100)
        >>> dataset.train.images.shape, dataset.num_classes
        ((100, 32, 32, 3), 10)
    """
    if not 0 < validation_fraction < 1:
        raise UserError(
            f"validation_fraction must be between 0 and 1, such as 0.1; got {validation_fraction}"
        )
    if limit is not None and limit < 2:
        raise UserError(f"limit must be 2 or more, so that training and validation have images; got {limit}")
    spec = _find(name)
    if spec.tfds is None:
        return _load_cluttered_digits(limit)
    return _load_tfds(spec, data_dir, seed, validation_fraction, limit)


def _find(name: str) -> DatasetSpec:
    if name in DATASETS:
        return DATASETS[name]
    close = difflib.get_close_matches(name, DATASETS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise UserError(f"unknown dataset {name!r}; {hint}allowed: {', '.join(DATASETS)}")


def _test_limit(limit: int | None) -> int | None:
    return None if limit is None else max(1, limit // 5)


def _load_cluttered_digits(limit: int | None) -> ImageDataset:
    """The same scenes for every training seed, so that runs can be compared."""
    sizes = cluttered_digits.SCENES

    def scenes(split: str, limit: int | None) -> Split:
        return cluttered_digits.generate_scenes(split, min(sizes[split], limit or sizes[split]))

    return ImageDataset(
        name="cluttered_digits",
        class_names=cluttered_digits.CLASS_NAMES,
        train=scenes("train", limit),
        validation=scenes("validation", _test_limit(limit)),
        mirror_symmetric=False,
        load_test=functools.cache(lambda: scenes("test", _test_limit(limit))),
    )


def _load_tfds(spec: DatasetSpec, data_dir, seed, validation_fraction, limit) -> ImageDataset:
    from attention_keras.data import tfds_source

    builder = tfds_source.open_builder(spec.tfds, data_dir)
    official_train = tfds_source.read_split(builder, "train", limit)
    stored_names = tfds_source.class_names(builder)
    numbers_only = stored_names == tuple(map(str, range(len(stored_names))))
    training, validation = cut_validation(official_train.labels, validation_fraction, seed)
    return ImageDataset(
        name=spec.name,
        class_names=(numbers_only and spec.class_names) or stored_names,
        train=official_train.take(training),
        validation=official_train.take(validation),
        mirror_symmetric=spec.mirror_symmetric,
        load_test=functools.cache(lambda: tfds_source.read_split(builder, "test", _test_limit(limit))),
    )
