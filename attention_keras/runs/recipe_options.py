"""Options of the training."""

import math
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from attention_keras.data.augmentations import parse_augment
from attention_keras.errors import UserError
from attention_keras.runs.field_types import check_types
from attention_keras.runs.open_fields import ByRecipe
from attention_keras.runs.recipes import Optimizer, Precision, RecipeName, Schedule


@dataclass(frozen=True)
class RecipeOptions:
    """The training."""

    recipe: RecipeName = "auto"
    """Values for what is not given: paper, quick (a tenth of its epochs), modern (30 epochs, larger batches),
    embedded, finetune (a pretrained backbone, first frozen, then not); auto picks by backbone and dataset."""
    epochs: ByRecipe[int] = None
    """Passes over the training split in which all weights learn."""
    frozen_epochs: ByRecipe[int] = None
    """Passes before these in which a keras: or .keras backbone is frozen. Its features are computed once."""
    frozen_learning_rate: ByRecipe[float] = None
    """Peak learning rate of the frozen epochs."""
    patience: Annotated[int, arg(help_behavior_hint="(default: 0, off)")] = 0
    """End after this many epochs without a better validation accuracy; the best epoch is tested and exported
    (counted once all weights learn, if they ever do)."""
    balance: bool = False
    """Weight the loss of each class by its rarity, so that all classes count alike."""
    batch_size: ByRecipe[int] = None
    """Images per update of the weights, over all devices."""
    accumulate: int = 1
    """Compute each update in this many parts, one after the other, to need less memory."""
    optimizer: ByRecipe[Optimizer] = None
    """sgd and nesterov: momentum 0.9 with coupled weight decay on every parameter."""
    learning_rate: ByRecipe[float] = None
    """Peak learning rate, in Keras terms (Torch's 1.0 in the official VGG scripts is 0.1 here)."""
    schedule: ByRecipe[Schedule] = None
    """Learning rate over the run: cosine has a linear warm-up; the others are the paper's."""
    weight_decay: ByRecipe[float] = None
    """L2 on every parameter for sgd and nesterov, decoupled for adamw."""
    label_smoothing: ByRecipe[float] = None
    """Share of the target spread over all classes."""
    ema: ByRecipe[float] = None
    """Average the weights over the updates, each counting this much less than the next (0: off); the average
    is validated, tested and exported."""
    augment: ByRecipe[str] = None
    """none, or joined by +: flip, crop, crop_reflect, resized_crop (of a folder's files), cutout, mixup,
    cutmix, randaugment, gridmask."""
    attend_to: Annotated[float, arg(help_behavior_hint="(default: 0, off)")] = 0.0
    """Weight of a loss on the share of attention that lies off the object; it needs images with masks."""
    attend_to_fraction: float = 1.0
    """Share of the training images with a mask whose mask is used."""
    seed: int = 0
    """Fixes initial weights, data order, augmentation and dropout."""
    deterministic: bool = False
    """Bit-identical results from the same seed on the same machine (slower)."""
    precision: Precision = "auto"
    """auto: mixed_bfloat16 where the processor or GPU has bfloat16 arithmetic, else float32."""
    steps_per_execution: int = 1
    """Steps run in one call of the compiled function; more helps small models on fast devices."""

    def __post_init__(self):
        check_types(self)
        for name in ("batch_size", "accumulate", "steps_per_execution"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} must be 1 or more; got {value}")
        for name in ("epochs", "frozen_epochs", "patience"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise UserError(f"{name} must be 0 or more; got {value}")
        for name in ("learning_rate", "frozen_learning_rate"):
            rate = getattr(self, name)
            if rate is not None and not (math.isfinite(rate) and rate > 0):
                raise UserError(f"{name} must be a positive number; got {rate}")
        for name in ("weight_decay", "label_smoothing", "ema"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise UserError(f"{name} must be from 0 up to 1; got {value}")
        if not (math.isfinite(self.attend_to) and self.attend_to >= 0):
            raise UserError(f"attend_to must be 0 or a positive number; got {self.attend_to}")
        if not 0 < self.attend_to_fraction <= 1:
            raise UserError(
                f"attend_to_fraction must be above 0 and at most 1; got {self.attend_to_fraction}"
            )
        if not self.attend_to and self.attend_to_fraction != 1:
            raise UserError("attend_to_fraction is for attend_to; give the weight attend_to beside it")
        if not 0 <= self.seed < 2**31:
            raise UserError(f"seed must be from 0 to 2147483647; got {self.seed}")
        if self.augment is not None:
            parse_augment(self.augment)
