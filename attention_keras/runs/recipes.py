"""The paper's training, per dataset and backbone, in Keras terms; and a quick start for the embedded data.

Sources: run_expt_cifar10.sh, run_expt_cifar100.sh, run_expt_cubs200.sh and RESNET/scripts/main.sh of the
official code. Torch's SGD defaults dampening to the momentum, so its VGG learning rates are ten times
the effective ones given here; the ResNet scripts switch dampening off, and theirs are true.
"""

from typing import Any, Literal

from attention_keras.data.registry import is_mirror_symmetric

RecipeName = Literal["auto", "paper", "quick", "embedded"]

_PAPER = {
    "width": 1.0,
    "dropout": True,
    "init": "torch",
    "epochs": 300,
    "batch_size": 128,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "schedule": "halve_25",
    "weight_decay": 5e-4,
    "label_smoothing": 0.0,
    "preprocess": "meanstd",
    "augment": "flip",
}
_PAPER_BY_DATASET = {
    "cifar10": {"preprocess": "yuv_lcn"},
    "cifar100": {"preprocess": "gcn_zca"},
    "svhn": {"learning_rate": 0.01},
    "cluttered_digits": {"learning_rate": 0.01},
    "cub200": {"learning_rate": 0.01, "schedule": "cub_30", "epochs": 320},
}
_PAPER_RESNET = {
    "epochs": 200,
    "batch_size": 64,
    "optimizer": "nesterov",
    "learning_rate": 0.1,
    "schedule": "step_60_120_160",
    "augment": "flip+crop_reflect",
}
# A tenth of the paper's epochs: one cycle of a higher-capacity schedule instead of 300 epochs of halving.
# Dropout and the one-hot start of Torch's u are for long training; see docs/recipes.md for the curves.
_QUICK = {
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
_EMBEDDED = {
    "width": 0.125,
    "dropout": False,
    "init": "keras",
    "epochs": 8,
    "batch_size": 64,
    "optimizer": "adamw",
    "learning_rate": 4e-3,
    "schedule": "cosine",
    "weight_decay": 1e-4,
    "label_smoothing": 0.0,
    "preprocess": "meanstd",
    "augment": "none",
}


def recipe_values(recipe: RecipeName, dataset: str, backbone: str) -> dict[str, Any]:
    """A value for every `TrainConfig` field that a recipe decides.

    Args:
        recipe: `auto` is `embedded` for cluttered_digits and `paper` for everything else; `quick` is a
            tenth of the paper's epochs.
        dataset: name of the dataset.
        backbone: `vgg`, `rn164` or `keras:<Application>`.
    """
    if recipe == "auto":
        recipe = "embedded" if dataset == "cluttered_digits" else "paper"
    if recipe == "embedded":
        return _EMBEDDED | ({"width": 1.0} if backbone.startswith("keras:") else {})
    values = _PAPER | _PAPER_BY_DATASET.get(dataset, {})
    if backbone == "rn164":
        values |= _PAPER_RESNET
    if recipe == "quick":
        values |= _QUICK
    if not is_mirror_symmetric(dataset):  # flipped only if asked; the official VGG scripts flip everything
        values["augment"] = "+".join(n for n in values["augment"].split("+") if n != "flip") or "none"
    return values
