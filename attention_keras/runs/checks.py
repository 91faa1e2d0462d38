"""Values of a config that do not go together."""

from types import SimpleNamespace
from typing import get_args

from attention_keras.data.registry import (
    IMAGE_FILES,
    MIXES,
    MOVES,
    NEEDS_FILES,
    WHERE_MASKS_ARE,
    has_no_masks,
    parse_augment,
)
from attention_keras.errors import UserError
from attention_keras.layers.choices import AUTO, RAW, Preprocessing
from attention_keras.models.spec import APPLICATION, ModelSpec
from attention_keras.runs.recipes import Values


def check_together(values: Values, spec: ModelSpec) -> None:
    """Raise UserError for the first of them; `spec` is the network that the values name."""
    for check in (_check_data, _check_tiles, _check_network, _check_training, _check_attend_to):
        check(SimpleNamespace(**values), spec)


def _check_data(given: SimpleNamespace, spec: ModelSpec) -> None:
    if given.resize != "crop" and not given.dataset.startswith((*IMAGE_FILES, "tfds:")):
        raise UserError(
            "resize is for folder:PATH, table:FILE and tfds:NAME, with pictures of any shape; got "
            f"{given.dataset}"
        )
    if given.range and (given.tiles or not given.dataset.startswith(IMAGE_FILES)):
        raise UserError("range is for images of folder:PATH and table:FILE that are not read in tiles")
    if given.channels != 3:
        _check_channels(given, spec)
    crops = parse_augment(given.augment).crops
    if crops and not given.dataset.startswith(IMAGE_FILES):
        raise UserError(f"augment {crops[0]} {NEEDS_FILES}; got {given.dataset}")


def _check_channels(given: SimpleNamespace, spec: ModelSpec) -> None:
    """Refuse what is for colours."""
    if given.tiles or not given.dataset.startswith(IMAGE_FILES):
        raise UserError("channels are for images of folder:PATH and table:FILE that are not read in tiles")
    wrong = {
        f"weights {given.weights}": given.weights == "imagenet",
        f"backbone {given.backbone}": bool(spec.preset),
        f"preprocess {given.preprocess}": given.preprocess not in (AUTO, RAW, "none", "meanstd", "gcn_zca"),
        f"augment {given.augment}": "randaugment" in given.augment,
    }
    if found := next((what for what, is_for_colours in wrong.items() if is_for_colours), None):
        raise UserError(f"{found} is for images of 3 channels; got channels {given.channels}")


def _check_tiles(given: SimpleNamespace, spec: ModelSpec) -> None:
    if not given.tiles:
        if given.margin:
            raise UserError("a margin is of tiles; give their side, such as 224")
        return
    if not given.dataset.startswith(IMAGE_FILES):
        raise UserError(f"tiles are for folder:PATH and table:FILE; got {given.dataset}")
    if given.image_size or given.resize != "crop":
        raise UserError("tiles keep images as large as they are; leave out image_size and resize")
    if spec.head != "class" or given.epochs or not spec.is_brought:
        raise UserError(
            "tiles need a class head on a trained backbone that stays frozen: give backbone "
            "keras:<Application> with weights, or FILE.keras, and 0 epochs"
        )
    if given.preprocess in ("meanstd", "yuv_lcn", "gcn_zca"):
        raise UserError(f"preprocess {given.preprocess} needs images of one size, and tiles leave them as is")


def _check_network(given: SimpleNamespace, spec: ModelSpec) -> None:
    preprocess = given.preprocess
    if given.weights and not given.backbone.startswith(APPLICATION):
        raise UserError(
            "weights are for a backbone keras:<Application>; a .keras file brings its own, and vgg and rn164 "
            "start from another run with init_from"
        )
    if spec.application and preprocess != AUTO:
        raise UserError(
            f"{spec.backbone} comes with its own preprocessing; leave out `preprocess` {preprocess}"
        )
    if not spec.is_brought and preprocess not in get_args(Preprocessing):
        allowed = ", ".join(get_args(Preprocessing))
        raise UserError(f"preprocess must be one of {allowed} for {spec.name}; got {preprocess!r}")


def _check_training(given: SimpleNamespace, spec: ModelSpec) -> None:
    if given.batch_size % given.accumulate:
        raise UserError(f"accumulate must divide batch_size; got {given.accumulate} and {given.batch_size}")
    if given.deterministic and not parse_augment(given.augment).is_repeatable:
        raise UserError(
            f"augment {given.augment} draws random numbers that cannot be repeated; leave out "
            f"`deterministic`, or use {', '.join(MOVES + MIXES)}"
        )
    if given.frozen_epochs + given.epochs < 1:
        raise UserError("epochs must be 1 or more; 0 is for a run of frozen_epochs alone")
    if given.frozen_epochs > 1 and spec.head == "class":
        raise UserError(
            "a class head is fitted to a frozen backbone in one go, which is 1 of frozen_epochs; "
            f"give 1 or 0; got {given.frozen_epochs}"
        )
    if given.frozen_epochs and not spec.is_brought:
        raise UserError(
            f"frozen_epochs are for a backbone keras:<Application> or FILE.keras; got {given.model}"
        )


def _check_attend_to(given: SimpleNamespace, spec: ModelSpec) -> None:
    if not given.attend_to:
        if given.attend_to_fraction != 1:
            raise UserError("attend_to_fraction is for attend_to; give the weight attend_to beside it")
        return
    if spec.variant != "attention" or given.compat == "mean":
        raise UserError(
            "attend_to needs a network that learns where to look, such as vgg-att2-concat-pc; "
            f"got {given.model}"
        )
    if has_no_masks(given.dataset):
        raise UserError(f"{given.dataset} has no masks for attend_to; {WHERE_MASKS_ARE}")
    if given.frozen_epochs:
        raise UserError("attend_to needs a backbone that learns from the start; give frozen_epochs 0")
    if alone := parse_augment(given.augment).without_masks:
        raise UserError(
            f"attend_to needs masks that change with the images, and augment {alone[0]} changes images "
            f"alone; use {', '.join(MOVES)}"
        )
