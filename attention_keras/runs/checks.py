"""What does not go together in a config, and what it names that is not there."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, get_args

from attention_keras.data.registry import (
    IMAGE_FILES,
    MIXES,
    MOVES,
    NEEDS_FILES,
    WHERE_MASKS_ARE,
    find_dataset,
    has_no_masks,
    parse_augment,
)
from attention_keras.errors import UserError
from attention_keras.layers.choices import AUTO, IMAGENET, RAW, Preprocessing
from attention_keras.models.spec import APPLICATION, ModelSpec
from attention_keras.runs.filling import applications, meant_application
from attention_keras.runs.recipes import Values

if TYPE_CHECKING:
    from attention_keras.runs.config import RunConfig

WHOLE_FILES = "for images of folder:PATH and table:FILE that are not read in tiles"
OF_ANY_CHANNELS = (AUTO, RAW, "none", "meanstd", "gcn_zca")
Refusals = dict[str, object]
"""What is said -> where it is true."""


def check_together(values: Values, spec: ModelSpec) -> None:
    """Raise UserError for the first values that do not fit; `spec` is the network that they name."""
    for check in (_of_images, _of_tiles, _of_network, _of_training, _of_attention):
        for message, is_wrong in check(SimpleNamespace(**values), spec).items():
            if is_wrong:
                raise UserError(message)


def _of_images(given: SimpleNamespace, spec: ModelSpec) -> Refusals:
    name, files = given.dataset, given.dataset.startswith(IMAGE_FILES)
    is_plain, other = files and not given.tiles, given.channels != 3
    three = f"is for images of 3 channels; got channels {given.channels}"
    crops = parse_augment(given.augment).crops
    return {
        f"resize is for folder:PATH, table:FILE and tfds:NAME, with pictures of any shape; got {name}": (
            given.resize != "crop" and not name.startswith((*IMAGE_FILES, "tfds:"))
        ),
        f"range is {WHOLE_FILES}": given.range and not is_plain,
        f"channels are {WHOLE_FILES}": other and not is_plain,
        f"weights {given.weights} {three}": other and given.weights == IMAGENET,
        f"backbone {given.backbone} {three}": other and spec.preset,
        f"preprocess {given.preprocess} {three}": other and given.preprocess not in OF_ANY_CHANNELS,
        f"augment {given.augment} {three}": other and "randaugment" in given.augment,
        f"augment {', '.join(crops)} {NEEDS_FILES}; got {name}": crops and not files,
    }


def _of_tiles(given: SimpleNamespace, spec: ModelSpec) -> Refusals:
    if not given.tiles:
        return {"a margin is of tiles; give their side, such as 224": given.margin}
    a_frozen_class_head = spec.head == "class" and spec.is_brought and not given.epochs
    return {
        f"tiles are for folder:PATH and table:FILE; got {given.dataset}": (
            not given.dataset.startswith(IMAGE_FILES)
        ),
        "tiles keep images as large as they are; leave out image_size and resize": (
            given.image_size or given.resize != "crop"
        ),
        "tiles need a class head on a trained backbone that stays frozen: give backbone "
        "keras:<Application> with weights, or FILE.keras, and 0 epochs": not a_frozen_class_head,
        f"preprocess {given.preprocess} needs images of one size, and tiles leave them as is": (
            given.preprocess in ("meanstd", "yuv_lcn", "gcn_zca")
        ),
    }


def _of_network(given: SimpleNamespace, spec: ModelSpec) -> Refusals:
    preprocess, allowed = given.preprocess, get_args(Preprocessing)
    return {
        "weights are for a backbone keras:<Application>; a .keras file brings its own, and vgg and rn164 "
        "start from another run with init_from": given.weights and not given.backbone.startswith(APPLICATION),
        f"{spec.backbone} comes with its own preprocessing; leave out `preprocess` {preprocess}": (
            spec.application and preprocess != AUTO
        ),
        f"preprocess must be one of {', '.join(allowed)} for {spec.name}; got {preprocess!r}": (
            not spec.is_brought and preprocess not in allowed
        ),
    }


def _of_training(given: SimpleNamespace, spec: ModelSpec) -> Refusals:
    frozen, unrepeatable = given.frozen_epochs, not parse_augment(given.augment).is_repeatable
    return {
        f"accumulate must divide batch_size; got {given.accumulate} and {given.batch_size}": (
            given.batch_size % given.accumulate
        ),
        f"augment {given.augment} draws random numbers that cannot be repeated; leave out "
        f"`deterministic`, or use {', '.join(MOVES + MIXES)}": unrepeatable and given.deterministic,
        "epochs must be 1 or more; 0 is for a run of frozen_epochs alone": frozen + given.epochs < 1,
        "a class head is fitted to a frozen backbone in one go, which is 1 of frozen_epochs; "
        f"give 1 or 0; got {frozen}": frozen > 1 and spec.head == "class",
        f"frozen_epochs are for a backbone keras:<Application> or FILE.keras; got {given.model}": (
            frozen and not spec.is_brought
        ),
    }


def _of_attention(given: SimpleNamespace, spec: ModelSpec) -> Refusals:
    if not given.attend_to:
        said = "attend_to_fraction is for attend_to; give the weight attend_to beside it"
        return {said: given.attend_to_fraction != 1}
    alone = parse_augment(given.augment).without_masks
    return {
        "attend_to needs a network that learns where to look, such as vgg-att2-concat-pc; "
        f"got {given.model}": spec.variant != "attention" or given.compat == "mean",
        f"{given.dataset} has no masks for attend_to; {WHERE_MASKS_ARE}": has_no_masks(given.dataset),
        "attend_to needs a backbone that learns from the start; give frozen_epochs 0": given.frozen_epochs,
        f"attend_to needs masks that change with the images, and augment {', '.join(alone)} changes images "
        f"alone; use {', '.join(MOVES)}": alone,
    }


def check_inputs(config: "RunConfig") -> None:
    """Raise UserError for a dataset, a network or a file that there is not."""
    kind, _, path = config.dataset.partition(":")
    if kind == "folder" and not Path(path).is_dir():
        raise UserError(f"there is no folder {path}; give folder:PATH, with a folder of images per class")
    if kind == "table" and not Path(path).is_file():
        raise UserError(f"there is no table {path}; give table:FILE, such as table:photos.csv")
    if kind not in ("folder", "table", "tfds"):
        find_dataset(config.dataset)
    if (name := config.spec.application) and name not in (known := applications()) and known:
        meant = meant_application(name)
        hint = f"; perhaps you meant {meant}" if meant else ""
        raise UserError(f"keras.applications has no network {name!r}{hint}")
    weights = "" if config.weights == IMAGENET else config.weights
    needed = {"backbone": config.spec.file, "weights": weights, "init_from": config.init_from}
    for argument, file in needed.items():
        if file and not Path(file).exists():
            raise UserError(f"`{argument}`: there is no {file}")
