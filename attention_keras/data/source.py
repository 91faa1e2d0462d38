"""From a source of images to a dataset: roles are cut where the source has no split for them."""

import dataclasses
import functools
import hashlib
import logging
from collections.abc import Callable

import numpy as np

from attention_keras.data.array_store import ArrayStore
from attention_keras.data.images import PictureFormat, range_of_deep
from attention_keras.data.labels import class_counts, in_words
from attention_keras.data.membership import TEST_FRACTION, choose_roles, cut_by_class
from attention_keras.data.registry import VALIDATION_FRACTION, is_mirror_symmetric
from attention_keras.data.split import ImageDataset, Role, Split, images_with_object
from attention_keras.data.table import ImageTable, read_images
from attention_keras.errors import UserError

# A test split that is cut from train is the same for every seed of a training.
TEST_SEED = 0
SET_ASIDE = "%s has no test split: %d training images are set aside for it"
ROLES: tuple[Role, ...] = ("train", "validation", "test")

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Cut:
    """What a run asks of the split. `limit` keeps the first training images, and a fifth as many others."""

    seed: int
    validation_fraction: float
    limit: int | None

    def most(self, role: Role) -> int | None:
        """Images kept in a role."""
        return self.limit if role == "train" or self.limit is None else max(1, self.limit // 5)

    def check(self, name: str, roles) -> None:
        """Refuse a share for validation where the dataset has a split for it."""
        if "validation" in roles and self.validation_fraction != VALIDATION_FRACTION:
            raise UserError(f"{name} has a validation split of its own; leave out validation_fraction")


def dataset_of_source(name: str, source, cut: Cut) -> ImageDataset:
    """A dataset of arrays, its test split unread unless it is cut from train.

    The source (`ClutteredDigits`, `TfdsSource`) has `class_names`, `roles`, and `read(role, limit)`, whose
    images are a fair mix of the classes.
    """
    cut.check(name, source.roles)

    def read(role: Role) -> Split:
        split = source.read(role, cut.most(role))
        check_labels(split.labels, len(source.class_names), f"{name}, {role} split")
        return split

    def held_out(train: Split, fraction: float, seed: int) -> tuple[Split, Split]:
        kept, held = cut_by_class(train.labels, fraction, seed)
        return train.take(kept), train.take(held)

    train = read("train")
    if "test" in source.roles:
        load_test = functools.partial(read, "test")
    else:
        train, test = held_out(train, TEST_FRACTION, TEST_SEED)
        logger.warning(SET_ASIDE, name, len(test))
        load_test = lambda: test  # noqa: E731
    if "validation" in source.roles:
        validation = read("validation")
    else:
        train, validation = held_out(train, cut.validation_fraction, cut.seed)
    return _dataset(name, source.class_names, train, validation, load_test)


def dataset_of_table(
    name: str, table: ImageTable, to: PictureFormat | None, cut: Cut, store: ArrayStore, skip_broken: bool
) -> ImageDataset:
    """A dataset of image files. Of test files that the table names, none is opened before `test()`."""
    cut.check(name, table.roles)
    roles = choose_roles(table.roles, table.units, table.labels, cut.validation_fraction, cut.seed)
    _check_table(name, table, roles)
    chosen = {role: np.flatnonzero(roles == role)[: cut.most(role)] for role in ROLES}
    if to:
        trained = [table.root / path for path in table.paths[chosen["train"]]]
        to = dataclasses.replace(to, values=_range_of(name, trained, to))
    has_test = "test" in table.roles
    now = np.sort(np.concatenate([rows for role, rows in chosen.items() if role != "test" or not has_test]))
    read, good = read_images(table, now, to, store, skip_broken)
    train, validation, test = (read.take(np.flatnonzero(roles[now[good]] == role)) for role in ROLES)

    def load_test() -> Split:
        split = read_images(table, chosen["test"], to, store, skip_broken)[0] if has_test else test
        return all_objects_or_none(split)

    if not has_test:
        logger.warning(SET_ASIDE, name, len(test))
    return _dataset(name, table.class_names, train, validation, load_test, table.files(roles))


def _range_of(name: str, files: list, to: PictureFormat) -> tuple[float, float] | None:
    """What becomes black and white of images of more than 8 bits, which a few of the files tell."""
    if not range_of_deep(files, to.channels, few=True):
        if to.values:
            logger.warning("%s: no image has more than 8 bits, and the range is for these alone", name)
        return None
    if values := to.values or range_of_deep(files, to.channels):
        whose = "as given" if to.values else "the range of the training images"
        said = "%s: pixels of more than 8 bits; %g becomes black and %g white, %s"
        logger.warning(said, name, *values, whose)
    return values


def all_objects_or_none(images: Split) -> Split:
    """Only some images may have a mask or a box; evaluation compares maps with all of them or none."""
    every = images_with_object(images).all()
    return images if every else dataclasses.replace(images, masks=None, boxes=None)


def _dataset(
    name: str, class_names, train: Split, validation: Split, load_test: Callable[[], Split], files=None
) -> ImageDataset:
    if not len(train) or not len(validation):
        raise UserError(
            f"{name} has too few images to train on: {len(train)} and {len(validation)} to validate"
        )

    @functools.cache
    def load_and_compare() -> Split:
        test = load_test()
        if both := _duplicates(train, test):
            logger.warning("%s: %d of %d test images are also in train", name, both, len(test))
        return test

    symmetric = is_mirror_symmetric(name)
    return ImageDataset(name, tuple(class_names), train, validation, symmetric, load_and_compare, files)


def _duplicates(train: Split, other: Split) -> int:
    """How many images of `other` are in `train` too: file by file, or else pixel by pixel."""

    def digests(split: Split) -> list:
        if split.digests is not None:
            return split.digests.tolist()
        images = (split.images[row] for row in range(len(split)))
        return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]

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


def _check_table(name: str, table: ImageTable, roles: np.ndarray) -> None:
    """Refuse a class without a training image, and a group in several roles, which would be tested on what is
    known. Tell of classes that a held-out role lacks, and of files of one content with different labels.
    """
    for role in ROLES:
        counts = class_counts(table.labels[roles == role], len(table.class_names))
        lost = ", ".join(table.class_names[label] for label in np.flatnonzero(counts == 0))
        if lost and role == "train":
            raise UserError(
                f"{name}: no image of {lost} is left to train on; add some, or choose train, "
                "validation and test yourself"
            )
        if lost:
            said = "%s: no image of %s is in %s; three images a class are the least"
            logger.warning(said, name, lost, role)
    first: dict[str, str] = {}
    for group, role in zip(table.groups, roles):
        if group and first.setdefault(group, role) != role:
            raise UserError(f"{name}: group {group!r} is in {first[group]} and in {role}; give it one split")
    _, labels = np.unique(in_words(table.labels, table.class_names), return_inverse=True)
    order = np.lexsort((labels, table.digests))
    digests, labels = table.digests[order], labels[order]
    twice = np.flatnonzero((digests[1:] == digests[:-1]) & (labels[1:] != labels[:-1]) & (digests[1:] > 0))
    if len(twice):
        one, other = table.paths[order[twice[0]]], table.paths[order[twice[0] + 1]]
        said = "%s: %d files have the content of another and a different label, such as %s and %s; keep one"
        logger.warning(said, name, len(twice), one, other)
