"""Values of a config that do not go together."""

import re
from typing import TYPE_CHECKING, get_args

from attention_keras.data.augmentations import MIXES, MOVES, NEEDS_FILES, parse_augment
from attention_keras.data.registry import IMAGE_FILES, WHERE_MASKS_ARE, has_no_masks
from attention_keras.errors import UserError
from attention_keras.layers.choices import AUTO, Preprocessing
from attention_keras.models.spec import APPLICATION

if TYPE_CHECKING:
    from attention_keras.runs.config import RunConfig

STRATEGIES = ("auto", "none", "mirrored", "multi_worker", "tpu")
REFUSED_STRATEGIES = {
    "parameter_server": "Keras 3 has no parameter-server training: fit cannot feed its workers",
    "central_storage": "Keras 3 reports wrong losses under it; mirrored computes the same",
}


def check_together(config: "RunConfig") -> None:
    """Raise UserError for the first of them."""
    for check in (_check_data, _check_network, _check_training, _check_attend_to, _check_machine):
        check(config)


def _check_data(config: "RunConfig") -> None:
    if config.resize != "crop" and not config.dataset.startswith((*IMAGE_FILES, "tfds:")):
        raise UserError(
            "resize is for folder:PATH, table:FILE and tfds:NAME, with pictures of any shape; got "
            f"{config.dataset}"
        )
    crops = parse_augment(config.augment).crops
    if crops and not config.has_files:
        raise UserError(f"augment {crops[0]} {NEEDS_FILES}; got {config.dataset}")


def _check_network(config: "RunConfig") -> None:
    spec, preprocess = config.spec, config.preprocess
    if config.weights and not config.backbone.startswith(APPLICATION):
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


def _check_training(config: "RunConfig") -> None:
    if config.batch_size % config.accumulate:
        raise UserError(f"accumulate must divide batch_size; got {config.accumulate} and {config.batch_size}")
    if config.deterministic and not parse_augment(config.augment).is_repeatable:
        raise UserError(
            f"augment {config.augment} draws random numbers that cannot be repeated; leave out "
            f"`deterministic`, or use {', '.join(MOVES + MIXES)}"
        )
    if config.all_epochs < 1:
        raise UserError("epochs must be 1 or more; 0 is for a run of frozen_epochs alone")
    if config.frozen_epochs > 1 and config.spec.head == "class":
        raise UserError(
            "a class head is fitted to a frozen backbone in one go, which is 1 of frozen_epochs; "
            f"give 1 or 0; got {config.frozen_epochs}"
        )
    if config.frozen_epochs and not config.spec.is_brought:
        raise UserError(
            f"frozen_epochs are for a backbone keras:<Application> or FILE.keras; got {config.model}"
        )


def _check_attend_to(config: "RunConfig") -> None:
    if not config.attend_to:
        if config.attend_to_fraction != 1:
            raise UserError("attend_to_fraction is for attend_to; give the weight attend_to beside it")
        return
    if config.spec.variant != "attention" or config.compat == "mean":
        raise UserError(
            "attend_to needs a network that learns where to look, such as vgg-att2-concat-pc; "
            f"got {config.model}"
        )
    if has_no_masks(config.dataset):
        raise UserError(f"{config.dataset} has no masks for attend_to; {WHERE_MASKS_ARE}")
    if config.frozen_epochs:
        raise UserError("attend_to needs a backbone that learns from the start; give frozen_epochs 0")
    if alone := parse_augment(config.augment).without_masks:
        raise UserError(
            f"attend_to needs masks that change with the images, and augment {alone[0]} changes images "
            f"alone; use {', '.join(MOVES)}"
        )


def _check_machine(config: "RunConfig") -> None:
    if config.name and not re.fullmatch(r"\w[\w.\- ]{0,199}", config.name):
        raise UserError(f"name must be letters, digits, '.', '_', '-' or spaces; got {config.name!r}")
    if config.strategy in REFUSED_STRATEGIES:
        raise UserError(f"strategy {config.strategy} is refused: {REFUSED_STRATEGIES[config.strategy]}")
    if config.strategy not in STRATEGIES:
        raise UserError(f"strategy must be one of {', '.join(STRATEGIES)}; got {config.strategy!r}")
