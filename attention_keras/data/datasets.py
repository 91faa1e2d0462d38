"""Datasets by name: `load_dataset` from a name to uint8 arrays in training, validation and test."""

import dataclasses
import functools
import logging
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

import numpy as np

from attention_keras.data import registry
from attention_keras.data.array_store import DEFAULT_MEMORY_LIMIT, ArrayStore
from attention_keras.data.digits import CLASS_NAMES, SCENES, generate_scenes
from attention_keras.data.folders import read_masked_folder
from attention_keras.data.images import PictureFormat, range_of_deep
from attention_keras.data.registry import FOLDER, IMAGE_FILES, TABLE, FileRecord, has_free_size
from attention_keras.data.split import ROLES, Cut, ImageDataset, Split, all_objects_or_none, dataset_of_splits
from attention_keras.data.table import ImageTable, check_roles, choose_roles, lacking, read_images
from attention_keras.data.table_file import read_files
from attention_keras.errors import UserError, needs

PETS = "oxford_iiit_pet"  # the one dataset of TensorFlow Datasets whose masks are read

logger = logging.getLogger(__name__)


def load_dataset(
    name: str,
    *,
    data_dir: str | Path | None = None,
    seed: int = 0,
    validation_fraction: float = registry.VALIDATION_FRACTION,
    limit: int | None = None,
    image_size: int | None = None,
    resize: registry.Resize = "crop",
    skip_broken: bool = False,
    columns: Sequence[str] = (),
    group_by: registry.GroupBy = "none",
    whole: bool = False,
    labels: registry.Labels = "auto",
    range: Sequence[float] = (),
    channels: int = 3,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    cache_dir: str | Path | None = None,
) -> ImageDataset:
    """Read a dataset; its test split stays unread until `dataset.test()`.

    A validation split is cut from the training images, the same share of each class, unless the dataset has
    one. Without a test split, a fifth of the training images is set aside for it, the same for every seed.

    Args:
        name: cluttered_digits, svhn, cifar10, cifar100 or cub200; `folder:PATH` with a folder of images per
            class, directly or in `train`, `validation`, `test`; `table:FILE` with a row for each image; or
            `tfds:NAME`, an image classification set of TensorFlow Datasets.
        data_dir: where TensorFlow Datasets keeps prepared data; by default `TFDS_DATA_DIR` or
            `~/tensorflow_datasets`.
        seed: picks the validation images.
        validation_fraction: share of the training images held out, in (0, 1).
        limit: keep only the first `limit` training images, and a fifth as many of the other splits.
        image_size: side of square images; by default 80 for `cub200`, the size that a dataset fixes, or 32.
        resize: `crop`, `stretch` or `pad`; the birds of `cub200` are cut out and stretched.
        skip_broken: leave out unreadable images of a folder, and say which, instead of refusing.
        columns: other names of columns in a table, such as `label=species`.
        group_by: `parent` keeps images of a folder `CLASS/GROUP` on one side of the split.
        whole: images of files stay as large as they are, each of its own size, and in their files.
        labels: of a table: `single`, a class each; `multi`, tags such as `a;b`; `number`; or `auto`.
        range: what becomes black and white of more than 8 bits; by default as in the training images.
        channels: of files: 3 is RGB, 1 grey; others are those of `.npy` arrays `(h, w, c)` and of TIFF.
        memory_limit: bytes of images above which they are kept in a file, or decoded in each epoch.
        cache_dir: folder for such files; by default in the user's cache folder.

    Raises:
        UserError: an unknown name, an unusable option, unusable data, or data that are not to be had.

    Example:
        >>> dataset = load_dataset("cluttered_digits", limit=100)
        >>> dataset.train.images.shape, dataset.num_classes
        ((100, 32, 32, 3), 10)
    """
    if image_size is not None and not 8 <= image_size <= 1024:
        raise UserError(f"image_size must be from 8 to 1024 pixels; got {image_size}")
    if labels not in ("auto", "single") and not name.startswith(TABLE):
        raise UserError(f"labels {labels} is for table:FILE; got {name!r}")
    if skip_broken and not name.startswith(IMAGE_FILES):
        raise UserError(f"skip_broken is for folder:PATH and table:FILE; got {name!r}")
    store, cut = ArrayStore(memory_limit, cache_dir), Cut(seed, validation_fraction, limit)
    if name.startswith(IMAGE_FILES):
        table = read_files(name, columns, group_by, labels)
        size = (image_size or registry.DEFAULT_SIZE,) * 2
        to = None if whole else PictureFormat(size, resize, tuple(range) or None, channels)
        return _of_table(name, table, to, cut, store, skip_broken)
    spec = registry.find_dataset(name)
    side = image_size or spec.side
    if side != spec.side and not has_free_size(name):
        raise UserError(f"images of {name} are {spec.side} pixels wide; leave out image_size")
    if spec.tfds is None:
        cut.check(name, SCENES)
        scenes = [(role, min(count, cut.most(role) or count)) for role, count in SCENES.items()]
        read = [functools.partial(generate_scenes, *which) for which in scenes]
        return dataset_of_splits(name, CLASS_NAMES, read[0](), read[1](), read[2])
    with needs(name, extra="train"):
        from attention_keras.data.tfds import TfdsSource, birds
    to_arrays = birds if name == "cub200" else None
    source = TfdsSource(spec.tfds, data_dir, store, (side, side) if side else None, resize, to_arrays)
    class_names = source.class_names
    if spec.class_names and all(found.isdecimal() for found in class_names):
        class_names = spec.class_names
    return dataset_of_splits(name, class_names, *source.splits(name, cut))


def _of_table(
    name: str, table: ImageTable, to: PictureFormat | None, cut: Cut, store: ArrayStore, skip_broken: bool
) -> ImageDataset:
    """A dataset of image files. Of test files that the table names, none is opened before `test()`."""
    cut.check(name, table.roles)
    roles = choose_roles(table.roles, table.units, table.labels, cut.validation_fraction, cut.seed)
    check_roles(name, table, roles)
    chosen = {role: np.flatnonzero(roles == role)[: cut.most(role)] for role in ROLES}
    if to:
        trained = [table.root / path for path in table.paths[chosen["train"]]]
        to = dataclasses.replace(to, values=_range_of(name, trained, to))
    later = chosen["test"] if "test" in table.roles else None
    now = [rows for rows in chosen.values() if rows is not later]
    read, good = read_images(table, np.sort(np.concatenate(now)), to, store, skip_broken)
    train, validation, test = (read.take(np.flatnonzero(roles[good] == role)) for role in ROLES)
    before = lacking(table, chosen["train"])
    if lost := [found for found in lacking(table, good[roles[good] == "train"]) if found not in before]:
        raise UserError(f"no image of the class {lost[0]!r} can be read; repair some or remove it")

    def load_test() -> Split:
        return all_objects_or_none(read_images(table, later, to, store, skip_broken)[0])

    of_test = all_objects_or_none(test) if later is None else load_test
    return dataset_of_splits(name, table.class_names, train, validation, of_test, table.files(roles))


def _range_of(name: str, files: list, to: PictureFormat) -> tuple[float, float] | None:
    """What becomes black and white of images of more than 8 bits, which a few of the files tell."""
    if not range_of_deep(files, to.channels, few=True):
        if to.values:
            logger.warning("%s: no image has more than 8 bits, and the range is for these alone", name)
        return None
    low, high = to.values or range_of_deep(files, to.channels)
    whose = "as given" if to.values else "the range of the training images"
    said = "%s: pixels of more than 8 bits; %g becomes black and %g white, %s"
    logger.warning(said, name, low, high, whose)
    return low, high


def seen_in_training(files: Mapping[str, FileRecord]) -> set[str]:
    """Digests of the files that a run has trained on or chosen by: all but its test images."""
    return {record.digest for record in files.values() if record.role != "test"}


def load_unseen(
    name: str,
    to: PictureFormat | None,
    *,
    columns: Sequence[str] = (),
    labels: registry.Labels = "auto",
    without: Container[str] = (),
) -> ImageDataset:
    """Every image of `folder:PATH` or `table:FILE` as a test split, for models that were trained elsewhere.

    Where it has a test split, only that is taken. Files whose digest is in `without` are left out,
    because a model has seen them.
    """
    table = read_files(name, columns, labels=labels)
    rows = np.flatnonzero(table.roles == ("test" if "test" in table.roles else "train"))
    unseen = np.array([f"{digest:016x}" not in without for digest in table.digests[rows].tolist()], bool)
    if not unseen.any():
        raise UserError(f"the model was trained on every image of {name}; give others")
    if not unseen.all():
        logger.warning("%s: %d images were trained on and are left out", name, (~unseen).sum())
    test = all_objects_or_none(read_images(table, rows[unseen], to, ArrayStore())[0])
    nothing = test.take(slice(0, 0))
    return ImageDataset(name, table.class_names, nothing, nothing, lambda: test)


def load_masked_images(
    name: str, to: PictureFormat, *, limit: int | None = None, data_dir: str | None = None
) -> Split:
    """Images with masks that no model here was trained on; of a folder the first `limit`, every SET in turn.

    `name` is `folder:PATH` as `read_masked_folder` takes it, or `tfds:oxford_iiit_pet`.
    """
    if name.removeprefix("tfds:") == PETS:
        with needs(name, extra="train"):
            from attention_keras.data.tfds import TfdsSource, pets

        return TfdsSource(PETS, data_dir, ArrayStore(), to.size, to.resize, pets).read("test", limit)
    if not name.startswith(FOLDER):
        raise UserError(f"masks {name!r} is not known; allowed: folder:PATH, tfds:{PETS}")
    table = read_masked_folder(name.removeprefix(FOLDER))
    return read_images(table, np.arange(len(table))[:limit], to, ArrayStore())[0]
