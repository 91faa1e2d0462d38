"""From a source of images to a dataset: roles are cut where the source has no split for them."""

import dataclasses
import functools
import hashlib
import logging
from collections.abc import Callable
from typing import Protocol

import numpy as np

from attention_keras.data.array_store import ArrayStore
from attention_keras.data.depth import any_deep, range_of_deep
from attention_keras.data.file_records import FileRecord
from attention_keras.data.geometry import PictureFormat
from attention_keras.data.labels import class_counts, in_words
from attention_keras.data.membership import TEST_FRACTION, choose_roles, cut_by_class
from attention_keras.data.objects import images_with_object
from attention_keras.data.registry import VALIDATION_FRACTION, is_mirror_symmetric
from attention_keras.data.split import ImageDataset, Role, Split
from attention_keras.data.table import ImageTable, read_images
from attention_keras.errors import UserError

# A test split that is cut from train is the same for every seed of a training.
TEST_SEED = 0

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Cut:
    """What a run asks of the split. `limit` keeps the first training images, and a fifth as many others."""

    seed: int = 0
    validation_fraction: float = VALIDATION_FRACTION
    limit: int | None = None

    def most(self, role: Role) -> int | None:
        """Images kept in a role."""
        return self.limit if role == "train" or self.limit is None else max(1, self.limit // 5)


class Source(Protocol):
    """Arrays in roles; `train` at least."""

    class_names: tuple[str, ...]
    roles: frozenset[Role]

    def read(self, role: Role, limit: int | None) -> Split:
        """The images of a role, the first `limit` of them; any prefix is a fair mix of the classes."""


def dataset_of_source(name: str, source: Source, cut: Cut) -> ImageDataset:
    """A dataset of arrays, its test split unread unless it is cut from train."""
    _check_fraction(name, source.roles, cut)
    classes = len(source.class_names)

    def read(role: Role) -> Split:
        split = source.read(role, cut.most(role))
        check_labels(split.labels, classes, f"{name}, {role} split")
        return split

    train = read("train")
    if "test" in source.roles:
        load_test = functools.partial(read, "test")
    else:
        kept, held = cut_by_class(train.labels, TEST_FRACTION, TEST_SEED)
        train, test = train.take(kept), train.take(held)
        _tell_set_aside(name, test)
        load_test = functools.partial(_same, test)
    if "validation" in source.roles:
        validation = read("validation")
    else:
        kept, held = cut_by_class(train.labels, cut.validation_fraction, cut.seed)
        train, validation = train.take(kept), train.take(held)
    return _dataset(name, source.class_names, train, validation, load_test)


def dataset_of_table(
    name: str,
    table: ImageTable,
    to: PictureFormat | None,
    cut: Cut,
    store: ArrayStore,
    skip_broken: bool = False,
) -> ImageDataset:
    """A dataset of image files. Of test files that the table names, none is opened before `test()`."""
    _check_fraction(name, set(table.roles), cut)
    roles = choose_roles(table.roles, table.units, table.labels, cut.validation_fraction, cut.seed)
    _check_classes(name, table, roles)
    _check_groups(name, table, roles)
    _tell_two_labels(name, table)
    chosen = {
        role: np.flatnonzero(roles == role)[: cut.most(role)] for role in ("train", "validation", "test")
    }
    trained = [table.root / path for path in table.paths[chosen["train"]]]
    if to and not any_deep(trained, to.channels):
        if to.values:
            logger.warning("%s: no image has more than 8 bits, and the range is for these alone", name)
        to = dataclasses.replace(to, values=None)
    elif to and (values := to.values or range_of_deep(trained, to.channels)):
        whose = "as given" if to.values else "the range of the training images"
        to = dataclasses.replace(to, values=values)
        said = "%s: pixels of more than 8 bits; %g becomes black and %g white, %s"
        logger.warning(said, name, *values, whose)
    has_test = "test" in table.roles
    now = np.sort(np.concatenate([rows for role, rows in chosen.items() if role != "test" or not has_test]))
    read, good = read_images(table, now, to, store, skip_broken)
    train, validation, test = (read.take(np.flatnonzero(roles[now[good]] == role)) for role in chosen)

    def load_test() -> Split:
        split = read_images(table, chosen["test"], to, store, skip_broken)[0] if has_test else test
        return all_objects_or_none(split)

    if not has_test:
        _tell_set_aside(name, test)
    return _dataset(name, table.class_names, train, validation, load_test, table.files(roles))


def all_objects_or_none(images: Split) -> Split:
    """Only some images may have a mask or a box; evaluation compares maps with all of them or none."""
    if images_with_object(images).all():
        return images
    return dataclasses.replace(images, masks=None, boxes=None)


def _same(split: Split) -> Split:
    return split


def _dataset(
    name: str,
    class_names: tuple[str, ...],
    train: Split,
    validation: Split,
    load_test: Callable[[], Split],
    files: dict[str, FileRecord] | None = None,
) -> ImageDataset:
    if not len(train) or not len(validation):
        raise UserError(
            f"{name} has too few images to train on: {len(train)} and {len(validation)} to validate"
        )

    def load_and_compare() -> Split:
        test = load_test()
        if both := duplicates(train, test):
            logger.warning("%s: %d of %d test images are also in train", name, both, len(test))
        return test

    load_test_once = functools.cache(load_and_compare)
    mirrored = is_mirror_symmetric(name)
    return ImageDataset(name, tuple(class_names), train, validation, mirrored, load_test_once, files)


def duplicates(train: Split, other: Split) -> int:
    """How many images of `other` are in `train` too: file by file, or else pixel by pixel."""
    if train.digests is not None and other.digests is not None:
        return int(np.isin(other.digests, train.digests).sum())

    def digests(split: Split) -> list[bytes]:
        return [
            hashlib.blake2b(split.images[row].tobytes(), digest_size=16).digest() for row in range(len(split))
        ]

    known = set(digests(train))
    return sum(digest in known for digest in digests(other))


def check_labels(labels: np.ndarray, classes: int, where: str) -> None:
    """Refuse labels outside `[0, classes)`, such as SVHN's original 10 for the digit 0."""
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise UserError(
            f"{where}: {len(wrong)} of {len(labels)} labels are not in 0..{classes - 1} (one is {wrong[0]}); "
            "-1 usually means that labels of this split are not public"
        )


def _check_fraction(name: str, roles, cut: Cut) -> None:
    if "validation" in roles and cut.validation_fraction != VALIDATION_FRACTION:
        raise UserError(f"{name} has a validation split of its own; leave out validation_fraction")


def _check_classes(name: str, table: ImageTable, roles: np.ndarray) -> None:
    """Refuse a class without a training image, and tell of classes that a held-out role lacks."""
    for role in ("train", "validation", "test"):
        counts = class_counts(table.labels[roles == role], len(table.class_names))
        lost = ", ".join(table.class_names[label] for label in np.flatnonzero(counts == 0))
        if lost and role == "train":
            raise UserError(
                f"{name}: no image of {lost} is left to train on; add some, or choose train, "
                "validation and test yourself"
            )
        if lost:
            logger.warning(
                "%s: no image of %s is in %s; three images a class are the least", name, lost, role
            )


def _check_groups(name: str, table: ImageTable, roles: np.ndarray) -> None:
    """Refuse a group whose images were given to several roles: a model would be tested on what it knows."""
    first: dict[str, str] = {}
    for group, role in zip(table.groups, roles):
        if group and first.setdefault(group, role) != role:
            raise UserError(f"{name}: group {group!r} is in {first[group]} and in {role}; give it one split")


def _tell_two_labels(name: str, table: ImageTable) -> None:
    """Warn of files with the same content and different labels."""
    _, labels = np.unique(in_words(table.labels, table.class_names), return_inverse=True)
    order = np.lexsort((labels, table.digests))
    digests, labels = table.digests[order], labels[order]
    twice = np.flatnonzero((digests[1:] == digests[:-1]) & (labels[1:] != labels[:-1]) & (digests[1:] > 0))
    if len(twice):
        one, other = table.paths[order[twice[0]]], table.paths[order[twice[0] + 1]]
        said = "%s: %d files have the content of another and a different label, such as %s and %s; keep one"
        logger.warning(said, name, len(twice), one, other)


def _tell_set_aside(name: str, test: Split) -> None:
    logger.warning("%s has no test split: %d training images are set aside for it", name, len(test))
