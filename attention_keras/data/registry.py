"""Datasets and augmentations by name, and what is known of each before anything heavy is imported."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from attention_keras.errors import UserError

FOLDER, TABLE = "folder:", "table:"
IMAGE_FILES = (FOLDER, TABLE)
"""How the names of datasets begin whose images are files; a path follows."""
Resize = Literal["crop", "stretch", "pad"]
"""How images of any shape are brought to the network's; see `images.PictureFormat`."""
DEFAULT_SIZE = 32
"""Side of the images of datasets whose images have any shape."""
GroupBy = Literal["none", "parent"]
"""What makes a group of the images of a folder: nothing, or the folder below that of their class."""
Labels = Literal["auto", "single", "multi", "number"]
"""What the labels of a table are: a class each, tags such as a;b, a number; auto sees tags by a semicolon."""
VALIDATION_FRACTION = 0.1
"""Share of the training images held out for validation, where a dataset has no split for it."""

_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_CIFAR100 = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel "
    "can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur "
    "dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion "
    "lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree "
    "pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea "
    "seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table "
    "tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman "
    "worm"
)
CIFAR10, CIFAR100 = tuple(_CIFAR10.split()), tuple(_CIFAR100.split())


@dataclass(frozen=True)
class DatasetSpec:
    """What is known of a dataset before its data are read; `class_names` where the copy has numbers only.

    Its images are squares of `side` pixels, or as they are; `tfds` is what TensorFlow Datasets calls it.
    """

    tfds: str | None
    side: int | None = 32
    class_names: tuple[str, ...] | None = None
    has_masks: bool = False


DATASETS = {
    "cluttered_digits": DatasetSpec(None, has_masks=True),  # embedded, with boxes too
    "svhn": DatasetSpec("svhn_cropped"),  # street view house numbers, the middle digit
    "cifar10": DatasetSpec("cifar10", class_names=CIFAR10),
    "cifar100": DatasetSpec("cifar100", class_names=CIFAR100),  # with its fine labels
    "cub200": DatasetSpec("caltech_birds2011", side=80, has_masks=True),  # birds cut to their bounding boxes
}
WHERE_MASKS_ARE = (
    f"masks come with {', '.join(name for name, spec in DATASETS.items() if spec.has_masks)}, and with "
    "folder:PATH where PATH/CLASS/GroundTruth/IMAGE.png lies beside PATH/CLASS/IMAGE.jpg; a table:FILE has a "
    "column mask, or left, top, right, bottom"
)
# Digits and letters: a mirrored 2 is none, and a mirrored 5 looks like a 2.
_SIGNS = {"cluttered_digits", "svhn", "svhn_cropped", "binary_alpha_digits"}
_SIGNS |= {"mnist", "emnist", "kmnist", "mnist_corrupted"}


def find_dataset(name: str) -> DatasetSpec:
    """The dataset of this name; raises UserError where there is none."""
    if name.startswith("tfds:"):
        return DatasetSpec(name.removeprefix("tfds:"), side=None)
    if name in DATASETS:
        return DATASETS[name]
    close = difflib.get_close_matches(name, DATASETS, n=1)
    meant = f"folder:{name}" if Path(name).expanduser().is_dir() else next(iter(close), None)
    hint = f"did you mean {meant}? " if meant else ""
    raise UserError(
        f"unknown dataset {name!r}; {hint}allowed: {', '.join(DATASETS)}, folder:PATH, table:FILE, tfds:NAME"
    )


def is_mirror_symmetric(dataset: str) -> bool:
    """Whether a mirrored image of this dataset still belongs to its class."""
    return dataset.removeprefix("tfds:").split("/")[0].split(":")[0] not in _SIGNS


def has_no_masks(dataset: str) -> bool:
    """Whether it is known from the name that no image of this dataset has a mask of its object."""
    return dataset.startswith("tfds:") or (dataset in DATASETS and not DATASETS[dataset].has_masks)


def has_free_size(name: str) -> bool:
    """Whether images of this dataset come at the size that is asked for."""
    return name.startswith((*IMAGE_FILES, "tfds:")) or name == "cub200"


class FileRecord(NamedTuple):
    """What a run keeps of an image file: digest of its content, name of its class, and its role."""

    digest: str
    label: str
    role: str


def changes_between(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """`2 new, 1 gone`: how files, known by their paths, differ from those of an earlier time, if they do."""
    both = before.keys() & now.keys()
    changed = sum(before[name] != now[name] for name in both)
    counts = {"new": len(now) - len(both), "gone": len(before) - len(both), "changed": changed}
    return ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)


MOVES = ("flip", "crop", "crop_reflect")
MIXES = ("cutout", "mixup", "cutmix")
POLICIES = ("randaugment", "gridmask")
CROPS = ("resized_crop",)
NEEDS_FILES = "is cut from image files, which folder:PATH and table:FILE have; use crop or crop_reflect"


@dataclass(frozen=True)
class Augment:
    """An augmentation, parsed: crops of files come first, then moves, mixes and policies, as given."""

    moves: tuple[str, ...] = ()
    mixes: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    crops: tuple[str, ...] = ()

    @property
    def without_masks(self) -> tuple[str, ...]:
        """What changes images and leaves their masks as they were."""
        return self.crops + self.mixes + self.policies


def parse_augment(augment: str) -> Augment:
    """Parse `none`, or names joined by `+`, such as `flip+crop+cutmix`."""
    kinds = (MOVES, MIXES, POLICIES, CROPS)
    known = [name for kind in kinds for name in kind]
    names = () if augment == "none" else tuple(augment.split("+"))
    unknown = [name for name in names if name not in known]
    if unknown or len(set(names)) < len(names):
        problem = f"unknown augmentation {unknown[0]!r}" if unknown else f"augmentation twice in {augment!r}"
        raise UserError(
            f"{problem}; allowed: none, or any of {', '.join(known)} joined by +, such as flip+crop"
        )
    return Augment(*(tuple(name for name in names if name in kind) for kind in kinds))
