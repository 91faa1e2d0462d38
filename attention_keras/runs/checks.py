"""Which values of a config do not go together."""

from typing import TYPE_CHECKING, get_args

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
from attention_keras.layers.choices import AUTO, IMAGENET, RAW, Preprocessing
from attention_keras.models.spec import APPLICATION

if TYPE_CHECKING:
    from attention_keras.runs.config import RunConfig

WHOLE_FILES = "for images of folder:PATH and table:FILE that are not read in tiles"
OF_ANY_CHANNELS = (AUTO, RAW, "none", "meanstd", "gcn_zca")
OF_ALL_IMAGES = ("meanstd", "yuv_lcn", "gcn_zca")


def check_together(given: "RunConfig") -> None:
    """Raise UserError for the first values that do not fit."""
    spec, augment = given.spec, parse_augment(given.augment)
    name, tiles, files = given.dataset, given.tiles, given.dataset.startswith(IMAGE_FILES)
    other, whole_files = given.channels != 3, files and not tiles
    three = f"is for images of 3 channels; got channels {given.channels}"
    preprocess, allowed = given.preprocess, get_args(Preprocessing)
    frozen, guided = given.frozen_epochs, given.attend_to
    refusals = {  # what is said -> where it is true
        f"resize is for folder:PATH, table:FILE and tfds:NAME, with pictures of any shape; got {name}": (
            given.resize != "crop" and not name.startswith((*IMAGE_FILES, "tfds:"))
        ),
        f"range is {WHOLE_FILES}": given.range and not whole_files,
        f"channels are {WHOLE_FILES}": other and not whole_files,
        f"weights {given.weights} {three}": other and given.weights == IMAGENET,
        f"backbone {given.backbone} {three}": other and spec.preset,
        f"preprocess {given.preprocess} {three}": other and given.preprocess not in OF_ANY_CHANNELS,
        f"augment {given.augment} {three}": other and "randaugment" in given.augment,
        f"augment {', '.join(augment.crops)} {NEEDS_FILES}; got {name}": augment.crops and not files,
        "a margin is of tiles; give their side, such as 224": given.margin and not tiles,
        f"tiles are for folder:PATH and table:FILE; got {name}": tiles and not files,
        "tiles keep images as large as they are; leave out image_size and resize": (
            tiles and (given.image_size or given.resize != "crop")
        ),
        "tiles need a class head on a trained backbone that stays frozen: give backbone "
        "keras:<Application> with weights, or FILE.keras, and 0 epochs": (
            tiles and not (spec.head == "class" and spec.is_brought and not given.epochs)
        ),
        f"preprocess {given.preprocess} needs images of one size, and tiles leave them as is": (
            tiles and given.preprocess in OF_ALL_IMAGES
        ),
        "weights are for a backbone keras:<Application>; a .keras file brings its own, and vgg and rn164 "
        "start from another run with init_from": given.weights and not given.backbone.startswith(APPLICATION),
        f"{spec.backbone} comes with its own preprocessing; leave out `preprocess` {preprocess}": (
            spec.application and preprocess != AUTO
        ),
        f"preprocess must be one of {', '.join(allowed)} for {spec.name}; got {preprocess!r}": (
            not spec.is_brought and preprocess not in allowed
        ),
        f"accumulate must divide batch_size; got {given.accumulate} and {given.batch_size}": (
            given.batch_size % given.accumulate
        ),
        f"augment {given.augment} draws random numbers that cannot be repeated; leave out "
        f"`deterministic`, or use {', '.join(MOVES + MIXES)}": given.deterministic and augment.policies,
        "epochs must be 1 or more; 0 is for a run of frozen_epochs alone": frozen + given.epochs < 1,
        "a class head is fitted to a frozen backbone in one go, which is 1 of frozen_epochs; "
        f"give 1 or 0; got {frozen}": frozen > 1 and spec.head == "class",
        f"frozen_epochs are for a backbone keras:<Application> or FILE.keras; got {given.model}": (
            frozen and not spec.is_brought
        ),
        "attend_to_fraction is for attend_to; give the weight attend_to beside it": (
            not guided and given.attend_to_fraction != 1
        ),
        "attend_to needs a network that learns where to look, such as vgg-att2-concat-pc; "
        f"got {given.model}": guided and (spec.variant != "attention" or given.compat == "mean"),
        f"{given.dataset} has no masks for attend_to; {WHERE_MASKS_ARE}": (
            guided and has_no_masks(given.dataset)
        ),
        "attend_to needs a backbone that learns from the start; give frozen_epochs 0": guided and frozen,
        f"attend_to needs masks that change with the images, and augment {', '.join(augment.without_masks)} "
        f"changes images alone; use {', '.join(MOVES)}": guided and augment.without_masks,
    }
    for message, is_wrong in refusals.items():
        if is_wrong:
            raise UserError(message)
