"""Datasets by name: the registry, and `load_dataset` from a name to uint8 arrays."""

import logging
import os
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from attention_keras.data import cluttered_digits
from attention_keras.data.array_store import DEFAULT_MEMORY_LIMIT, ArrayStore
from attention_keras.data.class_folders import ROLE_FOLDERS
from attention_keras.data.geometry import DEFAULT_SIZE, MEGAPIXELS, PictureFormat, Resize
from attention_keras.data.membership import held_out
from attention_keras.data.registry import (
    DATASETS,
    VALIDATION_FRACTION,
    DatasetSpec,
    find_dataset,
    is_mirror_symmetric,
)
from attention_keras.data.source import TEST_FRACTION, Source, all_masks_or_none, build_dataset
from attention_keras.data.split import ImageDataset, Split
from attention_keras.errors import UserError
from attention_keras.extras import needs

__all__ = [
    "DATASETS",
    "DatasetSpec",
    "ImageDataset",
    "Split",
    "has_free_size",
    "load_dataset",
    "load_pictures",
    "seen_in_training",
]

STREAM = "ATTENTION_KERAS_STREAM"
"""A variable that says `on` or `off` where a caller leaves it open whether a folder is streamed."""
logger = logging.getLogger(__name__)


def load_dataset(
    name: str,
    *,
    data_dir: str | Path | None = None,
    seed: int = 0,
    validation_fraction: float = VALIDATION_FRACTION,
    limit: int | None = None,
    image_size: int | None = None,
    resize: Resize = "crop",
    svhn_extra: bool = False,
    skip_broken: bool = False,
    megapixels: int = MEGAPIXELS,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    cache_dir: str | Path | None = None,
    stream: Literal["auto", "on", "off"] = "auto",
) -> ImageDataset:
    """Read a dataset; its test split stays unread until `dataset.test()`.

    A validation split is cut from the training images, stratified by class, unless the dataset has
    validation and test splits of its own. Without a test split, a fifth of the training images is set
    aside for it, the same fifth for every seed.

    Args:
        name: a key of `DATASETS`; `folder:PATH` with a folder of images per class, directly or in
            `train`, `validation`, `test`; or `tfds:NAME`, an image classification set of TensorFlow Datasets.
        data_dir: where TensorFlow Datasets keeps prepared data; by default `TFDS_DATA_DIR` or
            `~/tensorflow_datasets`.
        seed: picks the validation images. The scenes of `cluttered_digits` are the same for every seed.
        validation_fraction: share of the training images held out, in (0, 1).
        limit: keep only the first `limit` training images, and a fifth as many of the other splits.
        image_size: side of square images, for `cub200` (80 by default), `folder:` and `tfds:` (32 by
            default, or the size the dataset fixes).
        resize: how pictures of `folder:` and `tfds:` are brought to that size: `crop`, `stretch` or `pad`.
            The birds of `cub200` are cut out and stretched.
        svhn_extra: train on SVHN's 531,131 easier `extra` images too.
        skip_broken: leave out unreadable images of a folder, and say which, instead of refusing.
        megapixels: millions of pixels above which an image of a folder counts as unreadable.
        memory_limit: bytes of images per split above which they are kept in a file and read by row, or, of
            a folder, read from their own files.
        cache_dir: folder for such files; by default in the user's cache folder.
        stream: whether pictures of a folder are decoded whenever they are needed instead of once; `auto`
            above `memory_limit`. The pixels are the same.

    Returns:
        An `ImageDataset`.

    Raises:
        UserError: an unknown name, an unusable option, unusable data, or data that are not to be had.

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
    if image_size is not None and not (8 <= image_size <= 1024):
        raise UserError(f"image_size must be from 8 to 1024 pixels; got {image_size}")
    if svhn_extra and name != "svhn":
        raise UserError(f"svhn_extra is for the dataset svhn only; got {name!r}")
    if skip_broken and not name.startswith("folder:"):
        raise UserError(f"skip_broken is for folder:PATH, whose images may be unreadable; got {name!r}")
    if stream != "auto" and not name.startswith("folder:"):
        raise UserError(f"stream is for folder:PATH, whose pictures are files; got {name!r}")
    store = ArrayStore(memory_limit, cache_dir)
    if name.startswith("folder:"):
        with needs("a folder of images", extra="train"):
            from attention_keras.data.folder_source import FolderSource

        path = name.removeprefix("folder:")
        to = PictureFormat((image_size or DEFAULT_SIZE,) * 2, resize, megapixels)
        if stream == "auto":
            stream = os.environ.get(STREAM, "auto")
        source = FolderSource(path, to, skip_broken=skip_broken, store=store, stream=stream)
    elif name.startswith("tfds:"):
        with needs(name, extra="train"):
            from attention_keras.data.tfds_source import TfdsSource, open_builder

        tfds_name = name.removeprefix("tfds:")
        builder = open_builder(tfds_name, data_dir)
        source = TfdsSource(builder, image_size=image_size, resize=resize, store=store)
    else:
        spec = find_dataset(name)
        if image_size not in (None, spec.image_shape[0]) and not has_free_size(name):
            raise UserError(f"images of {name} are {spec.image_shape[0]} pixels wide; leave out image_size")
        source = _open(spec, data_dir, image_size, svhn_extra, store)
    return build_dataset(
        name,
        source,
        mirror_symmetric=is_mirror_symmetric(name),
        seed=seed,
        validation_fraction=validation_fraction,
        limit=limit,
    )


def seen_in_training(files: Mapping[str, str]) -> set[str]:
    """Digests of the pictures that a run on a folder has trained on or chosen by: all but its test pictures.

    Args:
        files: relative name -> digest, as `ImageDataset.files` has them.

    Example:
        >>> seen_in_training({"train/a/1.png": "05", "test/a/2.png": "07"})
        {'05'}
    """
    roles = {name: ROLE_FOLDERS.get(name.split("/")[0].casefold()) for name in files}
    if all(roles.values()):
        return {digest for name, digest in files.items() if roles[name] != "test"}
    digests = list(dict.fromkeys(files.values()))
    tested = held_out(np.array([int(d, 16) for d in digests], "uint64"), TEST_FRACTION, "test")
    return {digest for digest, is_test in zip(digests, tested) if not is_test}


def load_pictures(name: str, to: PictureFormat, *, without: Container[str] = ()) -> ImageDataset:
    """Every picture of a folder as a test split, for models that were trained elsewhere.

    Args:
        name: `folder:PATH`; where it has a folder `test`, only that is taken.
        to: what they are brought to; a picture that is larger than it says counts as unreadable.
        without: digests of pictures to leave out, because the model has seen them.

    Raises:
        UserError: the folder cannot be used, or nothing is left.
    """
    with needs("a folder of images", extra="train"):
        from attention_keras.data.folder_source import FolderSource

    path = name.removeprefix("folder:")
    source = FolderSource(path, to)
    split = source.read("test" if "test" in source.roles else "train", None)
    unseen = np.array([f"{digest:016x}" not in without for digest in split.digests.tolist()], bool)
    if not unseen.any():
        raise UserError(f"the model was trained on every picture of {name}; give others")
    if not unseen.all():
        seen = int((~unseen).sum())
        logger.warning("%s: %d pictures were trained on and are left out", name, seen)
    test = all_masks_or_none(split.take(np.flatnonzero(unseen)))
    nothing = split.take(slice(0, 0))
    return ImageDataset(name, source.class_names, nothing, nothing, True, lambda: test, source.files)


def has_free_size(name: str) -> bool:
    """Whether images of this dataset come at the size that is asked for."""
    return name.startswith(("folder:", "tfds:")) or name == "cub200"


def _open(spec: DatasetSpec, data_dir, image_size: int | None, svhn_extra: bool, store: ArrayStore) -> Source:
    if spec.tfds is None:
        return cluttered_digits.ClutteredDigits()
    with needs(spec.name, extra="train"):
        from attention_keras.data.tfds_source import TfdsSource, birds, open_builder

    source = TfdsSource(
        open_builder(spec.tfds, data_dir),
        image_size=image_size or spec.image_shape[0],
        to_arrays=birds if spec.name == "cub200" else None,
        with_masks=spec.name == "cub200",
        extra="extra" if svhn_extra else None,
        store=store,
    )
    numbers_only = source.class_names == tuple(map(str, range(spec.num_classes)))
    if numbers_only and spec.class_names:
        source.class_names = spec.class_names
    return source
