"""What a config's open values become: the network by its name, and the values of a recipe.

Recipes are the paper's training, per dataset and backbone, in Keras terms; a quick start for the embedded
data; and fine-tuning of a backbone that is trained already.

Sources: run_expt_cifar10.sh, run_expt_cifar100.sh, run_expt_cubs200.sh and RESNET/scripts/main.sh of the
official code. Torch's SGD defaults dampening to the momentum, so its VGG learning rates are ten times
the effective ones given here; the ResNet scripts switch dampening off, and theirs are true.
"""

import dataclasses
import os
import re
from typing import Any, Literal

from attention_keras.data.registry import IMAGE_FILES, is_mirror_symmetric
from attention_keras.errors import UserError
from attention_keras.layers.choices import IMAGENET
from attention_keras.models.spec import FILE, HUB, ModelSpec, is_brought

DEFAULT_MODEL = "vgg-att2-concat-pc"

RecipeName = Literal["auto", "paper", "quick", "modern", "embedded", "finetune"]
Optimizer = Literal["sgd", "nesterov", "adamw"]
Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]
Strategy = Literal["auto", "none", "mirrored", "multi_worker"]
Schedule = Literal["constant", "cosine", "halve_25", "step_60_120_160", "cub_30"]

Values = dict[str, Any]
"""Values of some fields of `RunConfig`, by name."""

# fmt: off
PAPER: Values = {
    "width": 1.0, "dropout": True, "init": "torch", "preprocess": "meanstd",
    "epochs": 300, "frozen_epochs": 0, "frozen_learning_rate": 2e-3, "batch_size": 128,
    "optimizer": "sgd", "learning_rate": 0.1, "schedule": "halve_25", "weight_decay": 5e-4,
    "label_smoothing": 0.0, "ema": 0.0, "augment": "flip",
}
_PAPER_BY_DATASET: dict[str, Values] = {
    "cifar10": {"preprocess": "yuv_lcn"},
    "cifar100": {"preprocess": "gcn_zca"},
    "svhn": {"learning_rate": 0.01},
    "cluttered_digits": {"learning_rate": 0.01},
    "cub200": {"learning_rate": 0.01, "schedule": "cub_30", "epochs": 320},
}
_PAPER_RESNET: Values = {
    "epochs": 200, "batch_size": 64, "augment": "flip+crop_reflect",
    "optimizer": "nesterov", "learning_rate": 0.1, "schedule": "step_60_120_160",
}
_ONE_CYCLE: Values = {"dropout": False, "init": "keras", "schedule": "cosine"}
_OVERRIDES: dict[str, Values] = {
    "paper": {},
    # A tenth of the paper's epochs: one cycle of a higher-capacity schedule instead of 300 epochs of halving.
    # Dropout and the one-hot start of Torch's u are for long training; see docs/recipes.md for the curves.
    "quick": _ONE_CYCLE | {
        "epochs": 30, "optimizer": "adamw", "learning_rate": 4e-3, "weight_decay": 0.02,
        "label_smoothing": 0.1, "preprocess": "meanstd", "augment": "flip+crop",
    },
    # What fast published trainings on CIFAR share: one cycle of Nesterov momentum, from a high rate to zero,
    # label smoothing, crop, cutout (hlb-CIFAR10, airbench; DeVries and Taylor 2017).
    "modern": _ONE_CYCLE | {
        "epochs": 30, "batch_size": 512, "optimizer": "nesterov", "learning_rate": 0.4,
        "label_smoothing": 0.1, "preprocess": "meanstd", "augment": "flip+crop_reflect+cutout",
    },
    "embedded": _ONE_CYCLE | {
        "width": 0.125, "epochs": 8, "batch_size": 64, "optimizer": "adamw", "learning_rate": 4e-3,
        "weight_decay": 1e-4, "augment": "none",
    },
    # The head alone, on features that do not change: a class head is fitted in one go. Where epochs follow,
    # all weights learn but those of batch normalisation, at a low rate, in the manner of Keras's guide to
    # transfer learning.
    "finetune": _ONE_CYCLE | {
        "preprocess": "auto", "epochs": 0, "batch_size": 32, "optimizer": "adamw", "learning_rate": 5e-5,
        "weight_decay": 1e-4, "frozen_epochs": 1,
    },
}
# fmt: on
# A head that is trained and not fitted needs passes.
_FINETUNE_BY_STEPS: Values = {"frozen_epochs": 10, "epochs": 3}


def find_recipe(
    name: RecipeName, dataset: str, backbone: str, pretrained: bool = False, head: str = "paper"
) -> Values:
    """What a recipe says of a dataset and a backbone; `recipe` is then the name that `auto` stands for."""
    if name == "auto":
        name = "finetune" if pretrained else "embedded" if dataset == "cluttered_digits" else "paper"
    values = PAPER | {"recipe": name}
    if name in ("paper", "quick", "modern"):
        values |= _PAPER_BY_DATASET.get(dataset, {})
        values |= _PAPER_RESNET if backbone == "rn164" else {}
    values |= _OVERRIDES[name]
    if name == "finetune" and head != "class":
        values |= _FINETUNE_BY_STEPS
    if is_brought(backbone):  # built as it is, and it knows what it wants of pixels
        values |= {"width": 1.0, "preprocess": "auto"}
    if not is_mirror_symmetric(dataset):  # flipped only if asked; the official VGG scripts flip everything
        others = [word for word in values["augment"].split("+") if word != "flip"]
        values["augment"] = "+".join(others) or "none"
    return values


def fill(given: Values) -> Values:
    """The values that follow from those given: of the network's name, and of the recipe."""
    axes = {axis: given[axis] for axis in ("compat", "head") if given.get(axis)}
    pretrained = bool(given["weights"] or (given["backbone"] or "").startswith((FILE, HUB)))
    spec = find_spec(given["model"], given["backbone"], given["taps"], pretrained, **axes)
    values = find_recipe(given["recipe"], given["dataset"], spec.backbone, pretrained, spec.head)
    values |= {name: given[name] for name in values if name != "recipe" and given[name] is not None}
    attends = spec.variant == "attention"
    compat = spec.compat if attends and spec.head != "class" else None
    head = spec.head if attends else None
    return values | {"model": spec.name, "backbone": spec.backbone, "compat": compat, "head": head}


def find_spec(
    model: str | None, backbone: str | None, taps: tuple[str, ...] = (), trained: bool = False, **axes: str
) -> ModelSpec:
    """The network of this name, with another backbone or other `axes`; a trained one has a class head."""
    if backbone is None or not is_brought(backbone):
        changed = {"backbone": backbone, "taps": taps, **axes}
        return ModelSpec.parse(model or DEFAULT_MODEL).replace(**{k: v for k, v in changed.items() if v})
    if axes == {"head": "class"} or (trained and not axes):
        spec = ModelSpec(backbone, head="class", taps=taps)
    else:
        spec = ModelSpec(backbone, head="linear", compat="scaled", taps=taps)
    if model is None:
        return spec.replace(**axes)
    name = re.fullmatch(re.escape(spec.name.partition("-att")[0]) + r"-att(\d*)(-.+)", model)
    if name:  # what stands after the backbone is the same in every name
        named = ModelSpec.parse(f"vgg-att{min(int(name[1] or 2), 3)}{name[2]}")
        spec = dataclasses.replace(named, backbone=backbone, taps=taps)
    if spec.name != model:
        raise UserError(f"model {model} and backbone {backbone} are two networks; give one of them")
    return spec.replace(**axes)


def absolute_paths(dataset: str, backbone: str | None, weights: str, init_from: str) -> Values:
    """These four with names of files and folders that hold in every working directory."""
    kind, _, path = dataset.partition(":")
    if dataset.startswith(IMAGE_FILES):
        dataset = f"{kind}:{_absolute(path)}"
    preset = backbone.removeprefix(HUB) if backbone and backbone.startswith(HUB) else ""
    if os.path.isdir(os.path.expanduser(preset)):
        backbone = HUB + _absolute(preset)
    elif backbone and backbone.endswith(".keras") and not is_brought(backbone):
        backbone = FILE + _absolute(backbone)
    weights = weights if weights == IMAGENET else _absolute(weights)
    return {"dataset": dataset, "backbone": backbone, "weights": weights, "init_from": _absolute(init_from)}


def _absolute(path: str) -> str:
    return path and os.path.abspath(os.path.expanduser(path))
