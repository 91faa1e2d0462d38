"""From a source of images to a dataset: roles are cut where the source has no split for them."""

import dataclasses
import functools
import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np

from attention_keras.data.membership import held_out
from attention_keras.data.objects import images_with_object
from attention_keras.data.picture_rows import PictureRows
from attention_keras.data.registry import VALIDATION_FRACTION
from attention_keras.data.split import ImageDataset, Split, cut_validation
from attention_keras.errors import UserError

Role = Literal["train", "validation", "test"]

# A test split cut from train is the same for every training seed and every validation split.
TEST_FRACTION = 0.2
TEST_SEED = 0

logger = logging.getLogger(__name__)


class Source(Protocol):
    """Something that has images in roles; `train` at least."""

    class_names: tuple[str, ...]
    roles: frozenset[Role]
    files: Mapping[str, str] | None
    """Relative name of each file -> digest of its content; None where images are no files."""

    def read(self, role: Role, limit: int | None) -> Split:
        """The images of a role, the first `limit` of them; any prefix is a fair mix of the classes."""


def build_dataset(
    name: str,
    source: Source,
    *,
    mirror_symmetric: bool,
    seed: int = 0,
    validation_fraction: float = VALIDATION_FRACTION,
    limit: int | None = None,
) -> ImageDataset:
    """An `ImageDataset` of a source, its test split unread.

    Args:
        name: of the dataset, for messages.
        source: where the images come from.
        mirror_symmetric: see `ImageDataset`.
        seed: picks the validation images where they are cut from train.
        validation_fraction: share of the training images for that.
        limit: training images kept, the first ones; a fifth as many for the other roles.

    Raises:
        UserError: labels out of range, too few images, or a fraction for a source with a validation split.
    """
    if "validation" in source.roles and validation_fraction != VALIDATION_FRACTION:
        raise UserError(f"{name} has a validation split of its own; leave out validation_fraction")
    classes = len(source.class_names)
    fewer = None if limit is None else max(1, limit // 5)

    def read(role: Role, limit: int | None) -> Split:
        split = source.read(role, limit)
        check_labels(split.labels, classes, f"{name}, {role} split")
        return split

    train = read("train", limit)
    if "test" not in source.roles:
        train, test = _cut(train, TEST_FRACTION, TEST_SEED, "test")
        logger.warning("%s has no test split: %d training images are set aside for it", name, len(test))
    if "validation" in source.roles:
        validation = read("validation", fewer)
    else:
        train, validation = _cut(train, validation_fraction, seed, f"validation {seed}")
    if not len(train) or not len(validation):
        raise UserError(
            f"{name} has too few images to train on: {len(train)} and {len(validation)} to validate"
        )
    if limit is None and source.files is not None:
        held = {"validation": validation} | ({} if "test" in source.roles else {"test": test})
        check_classes(name, source.class_names, train, held)

    def load_test() -> Split:
        images = read("test", fewer) if "test" in source.roles else test
        return all_masks_or_none(images) if name.startswith("folder:") else images

    def load_and_compare() -> Split:
        images = load_test()
        both = duplicates(train, images)
        if both:
            logger.warning("%s: %d of %d test images are also in train", name, both, len(images))
        return images

    return ImageDataset(
        name=name,
        class_names=source.class_names,
        train=train,
        validation=validation,
        mirror_symmetric=mirror_symmetric,
        load_test=functools.cache(load_and_compare),
        files=source.files,
    )


def all_masks_or_none(images: Split) -> Split:
    """A folder may have masks for some images only; evaluation compares maps with all of them or none."""
    return images if images_with_object(images).all() else dataclasses.replace(images, masks=None)


def _cut(split: Split, fraction: float, seed: int, purpose: str) -> tuple[Split, Split]:
    """The images to keep and those to hold out: files by their content, others the same share of a class."""
    if split.digests is None:
        kept, out = cut_validation(split.labels, fraction, seed)
        return split.take(kept), split.take(out)
    chosen = held_out(split.digests, fraction, purpose)
    return split.take(np.flatnonzero(~chosen)), split.take(np.flatnonzero(chosen))


def check_labels(labels: np.ndarray, classes: int, where: str) -> None:
    """Refuse labels outside `[0, classes)`, such as SVHN's original 10 for the digit 0."""
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise UserError(
            f"{where}: {len(wrong)} of {len(labels)} labels are not in 0..{classes - 1} (one is {wrong[0]}); "
            "-1 usually means that labels of this split are not public"
        )


def check_classes(name: str, class_names: Sequence[str], train: Split, held: Mapping[str, Split]) -> None:
    """Refuse a class without a training image, and warn of classes that a held-out split lacks.

    Files are held out by their content, whatever their class: of a class of three, all may be.
    """

    def missing(split: Split) -> list[str]:
        found = set(np.unique(split.labels).tolist())
        return [class_name for label, class_name in enumerate(class_names) if label not in found]

    if lost := missing(train):
        raise UserError(
            f"{name}: all images of {', '.join(lost)} are held out and none is left to train on; "
            "add some, or make the folders train, validation and test yourself"
        )
    for role, split in held.items():
        if lost := missing(split):
            logger.warning("%s: no image of %s is in %s", name, ", ".join(lost), role)


def duplicates(train: Split, other: Split, chunk: int = 1024) -> int:
    """How many images of `other` are in `train` too, pixel by pixel; of streamed pictures, file by file."""
    if isinstance(train.images, PictureRows) or isinstance(other.images, PictureRows):
        # To compare pixels would decode every picture of both once more.
        return int(np.isin(other.digests, train.digests).sum())

    def digests(split: Split):
        for start in range(0, len(split), chunk):
            for image in split.images[start : start + chunk]:
                yield hashlib.blake2b(image.tobytes(), digest_size=16).digest()

    known = set(digests(train))
    return sum(digest in known for digest in digests(other))
