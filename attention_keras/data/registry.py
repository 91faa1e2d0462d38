"""The datasets that have a name of their own, and what is known of each before its data are read."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from attention_keras.errors import UserError

PETS = "oxford_iiit_pet"
"""The one dataset of TensorFlow Datasets whose masks are read."""
FOLDER, TABLE = "folder:", "table:"
IMAGE_FILES = (FOLDER, TABLE)
"""How the names of datasets begin whose images are files; a path follows."""
GroupBy = Literal["none", "parent"]
"""What makes a group of the images of a folder: nothing, or the folder below that of their class."""
Labels = Literal["auto", "single", "multi", "number"]
"""What the labels of a table are: a class each, tags such as a;b, a number; auto sees tags by a semicolon."""

VALIDATION_FRACTION = 0.1
"""Share of the training images held out for validation, where a dataset has no split for it."""

CIFAR10 = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)

CIFAR100 = (
    *("apple", "aquarium_fish", "baby", "bear", "beaver"),
    *("bed", "bee", "beetle", "bicycle", "bottle"),
    *("bowl", "boy", "bridge", "bus", "butterfly"),
    *("camel", "can", "castle", "caterpillar", "cattle"),
    *("chair", "chimpanzee", "clock", "cloud", "cockroach"),
    *("couch", "crab", "crocodile", "cup", "dinosaur"),
    *("dolphin", "elephant", "flatfish", "forest", "fox"),
    *("girl", "hamster", "house", "kangaroo", "keyboard"),
    *("lamp", "lawn_mower", "leopard", "lion", "lizard"),
    *("lobster", "man", "maple_tree", "motorcycle", "mountain"),
    *("mouse", "mushroom", "oak_tree", "orange", "orchid"),
    *("otter", "palm_tree", "pear", "pickup_truck", "pine_tree"),
    *("plain", "plate", "poppy", "porcupine", "possum"),
    *("rabbit", "raccoon", "ray", "road", "rocket"),
    *("rose", "sea", "seal", "shark", "shrew"),
    *("skunk", "skyscraper", "snail", "snake", "spider"),
    *("squirrel", "streetcar", "sunflower", "sweet_pepper", "table"),
    *("tank", "telephone", "television", "tiger", "tractor"),
    *("train", "trout", "tulip", "turtle", "wardrobe"),
    *("whale", "willow_tree", "wolf", "woman", "worm"),
)


@dataclass(frozen=True)
class DatasetSpec:
    """What is known of a dataset before its data are read; `class_names` where the copy has numbers only."""

    name: str
    tfds: str | None
    image_shape: tuple[int, int, int]
    num_classes: int
    about: str
    class_names: tuple[str, ...] | None = None
    has_masks: bool = False


_THUMBNAIL = (32, 32, 3)

_DIGITS = "embedded: real handwritten digits in cluttered scenes, with masks and boxes"
_BIRDS = "CUB-200-2011: birds cut to their bounding boxes, with masks"
_SPECS = (
    DatasetSpec("cluttered_digits", None, _THUMBNAIL, 10, _DIGITS, has_masks=True),
    DatasetSpec("svhn", "svhn_cropped", _THUMBNAIL, 10, "street view house numbers, the middle digit"),
    DatasetSpec("cifar10", "cifar10", _THUMBNAIL, 10, "CIFAR-10: animals and vehicles", CIFAR10),
    DatasetSpec("cifar100", "cifar100", _THUMBNAIL, 100, "CIFAR-100 with its fine labels", CIFAR100),
    DatasetSpec("cub200", "caltech_birds2011", (80, 80, 3), 200, _BIRDS, has_masks=True),
)
DATASETS = {spec.name: spec for spec in _SPECS}


def find_dataset(name: str) -> DatasetSpec:
    """The dataset of this name; raises UserError where there is none."""
    if name in DATASETS:
        return DATASETS[name]
    close = difflib.get_close_matches(name, DATASETS, n=1)
    meant = f"folder:{name}" if Path(name).expanduser().is_dir() else next(iter(close), None)
    hint = f"did you mean {meant}? " if meant else ""
    raise UserError(
        f"unknown dataset {name!r}; {hint}allowed: {', '.join(DATASETS)}, folder:PATH, table:FILE, tfds:NAME"
    )


# Digits and letters: a mirrored 2 is none, and a mirrored 5 looks like a 2.
_SIGNS = {
    "cluttered_digits",
    "svhn",
    "svhn_cropped",
    "mnist",
    "emnist",
    "kmnist",
    "mnist_corrupted",
    "binary_alpha_digits",
}


def is_mirror_symmetric(dataset: str) -> bool:
    """Whether a mirrored image of this dataset still belongs to its class."""
    return dataset.removeprefix("tfds:").split("/")[0].split(":")[0] not in _SIGNS


WHERE_MASKS_ARE = (
    f"masks come with {', '.join(name for name, spec in DATASETS.items() if spec.has_masks)}, and with "
    "folder:PATH where PATH/CLASS/GroundTruth/IMAGE.png lies beside PATH/CLASS/IMAGE.jpg; a table:FILE has a "
    "column mask, or left, top, right, bottom"
)


def has_no_masks(dataset: str) -> bool:
    """Whether it is known from the name that no image of this dataset has a mask of its object."""
    return dataset.startswith("tfds:") or (dataset in DATASETS and not DATASETS[dataset].has_masks)
