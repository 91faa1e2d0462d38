"""The tables that can be made: which networks, on which data, with which training."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from attention_keras.runs.options import TrainOptions

_BASELINES = ("vgg", "vgg-hires", "vgg-gap", "vgg-pan")
_PAPER = (
    *_BASELINES,
    "vgg-att1-dp",
    "vgg-att1-pc",
    "vgg-att2-indep-dp",
    "vgg-att2-indep-pc",
    "vgg-att2-concat-dp",
    "vgg-att2-concat-pc",
    "vgg-att2-concat-mean",
    "vgg-att3-concat-pc",
)
_RESNETS = ("rn164", "rn164-hires", "rn164-att1-pc", "rn164-att2-concat-pc", "rn164-att2-concat-mean")


@dataclass(frozen=True)
class Experiment:
    """One table: a dataset, the networks in its rows, and `TrainOptions` that all of them share.

    Example:
        >>> TABLES["cifar10-cpu"].options("vgg-hires", seed=1).machine.name
        'vgg-hires-s1'
    """

    about: str
    dataset: str
    models: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def options(self, model: str, seed: int, **changes: Any) -> TrainOptions:
        """The run of one row and seed; `changes` are further `TrainOptions`, None for unchanged."""
        changes = {name: value for name, value in changes.items() if value is not None}
        fields = {"export": False, **self.settings, **changes}
        name = f"{model}-s{seed}"
        return TrainOptions.of(dataset=self.dataset, model=model, seed=seed, name=name, **fields)


TABLES = {
    "digits": Experiment(
        "the embedded digits: all scores and both controls, about 3 minutes a run on 2 cores",
        "cluttered_digits",
        (
            "vgg",
            "vgg-hires",
            "vgg-gap",
            "vgg-pan",
            "vgg-att2-concat-mean",
            "vgg-att2-concat-pc",
            "vgg-att2-concat-dp",
            "vgg-att2-concat-pc-sigmoid",
            "vgg-att2-concat-additive",
        ),
        {"panels": 0},
    ),
    "cifar10-cpu": Experiment(
        "CIFAR-10 for 2 CPU cores: narrow networks, few passes over the data",
        "cifar10",
        (
            *_BASELINES,
            "vgg-att1-pc",
            "vgg-att2-concat-mean",
            "vgg-att2-concat-pc",
            "vgg-att2-concat-dp",
            "vgg-att2-indep-pc",
            "vgg-att3-concat-pc",
            "vgg-att2-concat-pc-sigmoid",
            "vgg-att2-concat-additive",
        ),
        {"recipe": "quick", "width": 0.125, "epochs": 1, "batch_size": 64, "panels": 0},
    ),
    "cifar10": Experiment("the paper's CIFAR-10 column, for a GPU", "cifar10", (*_PAPER, *_RESNETS)),
    "cifar100": Experiment("the paper's CIFAR-100 column, for a GPU", "cifar100", (*_PAPER, *_RESNETS)),
    "svhn": Experiment(
        "the paper's SVHN column, for a GPU",
        "svhn",
        (*_BASELINES, "vgg-att2-concat-mean", "vgg-att2-concat-pc", "vgg-att3-concat-pc"),
    ),
}


def flags(options: TrainOptions) -> list[str]:
    """The command-line words of what differs from the defaults.

    Example:
        >>> flags(TrainOptions.of(dataset="svhn", compat="pc", export=False))
        ['--dataset', 'svhn', '--compat', 'pc', '--no-export']
    """
    words = []
    for name, value in options.given().items():
        flag = name.replace("_", "-")
        if isinstance(value, bool) and name != "dropout":  # dropout may be open, so it takes a value
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *(value if isinstance(value, tuple) else [str(value)])]
    return words


def command_line(options: TrainOptions) -> str:
    """What to type for this run alone.

    Example:
        >>> command_line(TrainOptions.of(width=0.5))
        'attention-keras train --width 0.5'
    """
    return shlex.join(["attention-keras", "train", *flags(options)])
