"""The tables that can be made: which networks, on which data, with which training."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from attention_keras.runs.config import RunConfig

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
_GUIDED = "vgg-att2-concat-pc"
_ATTEND_TO: dict[str, dict[str, Any]] = {f"{_GUIDED}-masks0": {"model": _GUIDED}} | {
    f"{_GUIDED}-masks{percent}": {
        "model": _GUIDED,
        "attend_to": 1.0,
        "attend_to_fraction": percent / 100,
    }
    for percent in (1, 10, 100)
}
Measure = Literal["robustness", "faithfulness", "classification"]


@dataclass(frozen=True)
class Experiment:
    """One table: a dataset, its rows, and options that all of them share.

    Attributes:
        about: a line for the list of tables.
        dataset: as `--dataset` takes it.
        models: names of the rows; each is a network's name or a key of `variants`.
        settings: options of every row.
        variants: options of a row that has a name of its own, its `model` among them.
        measures: what is measured on each run if nothing else is asked for.
        images: test images for these measures.

    Example:
        >>> TABLES["cifar10-cpu"].options("vgg-hires", seed=1).name
        'vgg-hires-s1'
    """

    about: str
    dataset: str
    models: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    measures: tuple[Measure, ...] = ("robustness", "faithfulness")
    images: int = 64

    def options(self, row: str, seed: int, **changes: Any) -> RunConfig:
        """The run of one row and seed; `changes` are further options, None for unchanged."""
        changes = {name: value for name, value in changes.items() if value is not None}
        own = self.variants.get(row, {"model": row})
        fields = {"export": "none", **self.settings, **own, **changes}
        return RunConfig(dataset=self.dataset, seed=seed, name=f"{row}-s{seed}", **fields)


TABLES = {
    "digits": Experiment(
        "the embedded digits: all scores and both controls, about 5 minutes a run on 2 cores",
        "cluttered_digits",
        (
            "vgg",
            "vgg-hires",
            "vgg-gap",
            "vgg-pan",
            "vgg-att2-concat-mean",
            "vgg-att2-concat-pc",
            "vgg-att2-concat-dp",
            "vgg-att2-concat-scaled",
            "vgg-att2-concat-pc-sigmoid",
            "vgg-att2-concat-additive",
            "vgg-att2-linear-scaled",
            "vgg-att2-linear-pc",
            "vgg-att2-linear-mean",
        ),
    ),
    "digits-attend-to": Experiment(
        "the embedded digits: attention trained with the masks of none, 1, 10 and 100 % of the images",
        "cluttered_digits",
        tuple(_ATTEND_TO),
        variants=_ATTEND_TO,
        measures=("classification",),
        images=2000,
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
            "vgg-att2-concat-scaled",
            "vgg-att2-concat-pc-sigmoid",
            "vgg-att2-concat-additive",
            "vgg-att2-linear-scaled",
            "vgg-att2-linear-pc",
            "vgg-att2-linear-mean",
        ),
        {"recipe": "quick", "width": 0.125, "epochs": 1, "batch_size": 64},
    ),
    "cifar10": Experiment("the paper's CIFAR-10 column, for a GPU", "cifar10", (*_PAPER, *_RESNETS)),
    "cifar100": Experiment("the paper's CIFAR-100 column, for a GPU", "cifar100", (*_PAPER, *_RESNETS)),
    "svhn": Experiment(
        "the paper's SVHN column, for a GPU",
        "svhn",
        (*_BASELINES, "vgg-att2-concat-mean", "vgg-att2-concat-pc", "vgg-att3-concat-pc"),
    ),
}


def flags(options: RunConfig) -> list[str]:
    """The command-line words of what differs from the defaults.

    Example:
        >>> flags(RunConfig(dataset="svhn", compat="dp", export="none"))
        ['--dataset', 'svhn', '--model', 'vgg-att2-concat-dp', '--export', 'none']
    """
    words = []
    for name, value in options.given().items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *(value if isinstance(value, tuple) else [str(value)])]
    return words


def command_line(options: RunConfig) -> str:
    """What to type for this run alone.

    Example:
        >>> command_line(RunConfig(width=0.5))
        'attention-keras train --width 0.5'
    """
    return shlex.join(["attention-keras", "train", *flags(options)])
