"""The paper's training, per dataset and backbone, in Keras terms; a quick start for the embedded data; and
fine-tuning of a backbone that is trained already.

Sources: run_expt_cifar10.sh, run_expt_cifar100.sh, run_expt_cubs200.sh and RESNET/scripts/main.sh of the
official code. Torch's SGD defaults dampening to the momentum, so its VGG learning rates are ten times
the effective ones given here; the ResNet scripts switch dampening off, and theirs are true.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from attention_keras.data.registry import is_mirror_symmetric
from attention_keras.models.spec import Init, is_brought

RecipeName = Literal["auto", "paper", "quick", "modern", "embedded", "finetune"]
Optimizer = Literal["sgd", "nesterov", "adamw"]
Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]
Schedule = Literal["constant", "cosine", "halve_25", "step_60_120_160", "cub_30"]


@dataclass(frozen=True)
class Recipe:
    """How a network is made and trained. `TrainOptions` explains each field.

    Example:
        >>> find_recipe("auto", "svhn", "vgg").learning_rate
        0.01
    """

    width: float
    dropout: bool
    init: Init
    preprocess: str
    epochs: int
    batch_size: int
    optimizer: Optimizer
    learning_rate: float
    schedule: Schedule
    weight_decay: float
    label_smoothing: float
    augment: str
    frozen_epochs: int = 0
    frozen_learning_rate: float = 2e-3
    ema: float = 0.0

    @property
    def all_epochs(self) -> int:
        """Passes over the training split, with a frozen backbone and without."""
        return self.frozen_epochs + self.epochs


PAPER = Recipe(
    width=1.0,
    dropout=True,
    init="torch",
    preprocess="meanstd",
    epochs=300,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.1,
    schedule="halve_25",
    weight_decay=5e-4,
    label_smoothing=0.0,
    augment="flip",
)
_PAPER_BY_DATASET: dict[str, dict[str, Any]] = {
    "cifar10": {"preprocess": "yuv_lcn"},
    "cifar100": {"preprocess": "gcn_zca"},
    "svhn": {"learning_rate": 0.01},
    "cluttered_digits": {"learning_rate": 0.01},
    "cub200": {"learning_rate": 0.01, "schedule": "cub_30", "epochs": 320},
}
_PAPER_RESNET: dict[str, Any] = {
    "epochs": 200,
    "batch_size": 64,
    "optimizer": "nesterov",
    "learning_rate": 0.1,
    "schedule": "step_60_120_160",
    "augment": "flip+crop_reflect",
}
# A tenth of the paper's epochs: one cycle of a higher-capacity schedule instead of 300 epochs of halving.
# Dropout and the one-hot start of Torch's u are for long training; see docs/recipes.md for the curves.
_QUICK: dict[str, Any] = {
    "dropout": False,
    "init": "keras",
    "epochs": 30,
    "optimizer": "adamw",
    "learning_rate": 4e-3,
    "schedule": "cosine",
    "weight_decay": 0.02,
    "label_smoothing": 0.1,
    "preprocess": "meanstd",
    "augment": "flip+crop",
}
# What fast published trainings on CIFAR share: one cycle of Nesterov momentum, from a high rate to zero,
# label smoothing, crop, cutout (hlb-CIFAR10, airbench; DeVries and Taylor 2017).
_MODERN: dict[str, Any] = {
    "dropout": False,
    "init": "keras",
    "epochs": 30,
    "batch_size": 512,
    "optimizer": "nesterov",
    "learning_rate": 0.4,
    "schedule": "cosine",
    "weight_decay": 5e-4,
    "label_smoothing": 0.1,
    "preprocess": "meanstd",
    "augment": "flip+crop_reflect+cutout",
}
EMBEDDED = Recipe(
    width=0.125,
    dropout=False,
    init="keras",
    preprocess="meanstd",
    epochs=8,
    batch_size=64,
    optimizer="adamw",
    learning_rate=4e-3,
    schedule="cosine",
    weight_decay=1e-4,
    label_smoothing=0.0,
    augment="none",
)

MODERN = replace(PAPER, **_MODERN)

# The head first, on features that do not change; then all weights but those of batch normalisation, at a
# fortieth of the rate, in the manner of Keras's guide to transfer learning.
FINETUNE = Recipe(
    width=1.0,
    dropout=False,
    init="keras",
    preprocess="auto",
    epochs=3,
    batch_size=32,
    optimizer="adamw",
    learning_rate=5e-5,
    schedule="cosine",
    weight_decay=1e-4,
    label_smoothing=0.0,
    augment="flip",
    frozen_epochs=10,
)


def find_recipe(name: RecipeName, dataset: str, backbone: str, pretrained: bool = False) -> Recipe:
    """The recipe of this name for a dataset and a backbone.

    Args:
        name: `auto` is `finetune` for a pretrained backbone, `embedded` for cluttered_digits and `paper`
            for everything else; `quick` is a tenth of the paper's epochs, `modern` as many at larger batches.
        dataset: name of the dataset.
        backbone: as in ModelSpec.
        pretrained: whether it comes with weights.
    """
    if name == "auto" and pretrained:
        name = "finetune"
    elif name == "auto":
        name = "embedded" if dataset == "cluttered_digits" else "paper"
    recipe = _find(name, dataset, backbone)
    if is_brought(backbone):  # built as it is, and it knows what it wants of pixels
        recipe = replace(recipe, width=1.0, preprocess="auto")
    if is_mirror_symmetric(dataset):
        return recipe
    # Flipped only if asked; the official VGG scripts flip everything.
    others = [word for word in recipe.augment.split("+") if word != "flip"]
    return replace(recipe, augment="+".join(others) or "none")


def _find(name: RecipeName, dataset: str, backbone: str) -> Recipe:
    if name == "embedded":
        return EMBEDDED
    if name == "finetune":
        return FINETUNE
    values = dict(_PAPER_BY_DATASET.get(dataset, {}))
    if backbone == "rn164":
        values |= _PAPER_RESNET
    values |= {"quick": _QUICK, "modern": _MODERN}.get(name, {})
    return replace(PAPER, **values)
