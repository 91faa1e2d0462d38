"""The tables that can be made: which networks, on which data, with which training."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from attention_keras.runs.config import RunConfig

_BASELINES = ("vgg", "vgg-hires", "vgg-gap", "vgg-pan")
_ATTENTION = ("vgg-att2-concat-mean", "vgg-att2-concat-pc", "vgg-att2-concat-dp")
_ONE_OR_THREE = ("vgg-att1-pc", "vgg-att3-concat-pc")
_PAPER = (*_BASELINES, "vgg-att1-dp", *_ONE_OR_THREE, "vgg-att2-indep-dp", "vgg-att2-indep-pc", *_ATTENTION)
_LINEAR = ("vgg-att2-linear-scaled", "vgg-att2-linear-pc", "vgg-att2-linear-mean")
_SCORES = ("vgg-att2-concat-scaled", "vgg-att2-concat-pc-sigmoid", "vgg-att2-concat-additive", *_LINEAR)
_RESNETS = ("rn164", "rn164-hires", "rn164-att1-pc", "rn164-att2-concat-pc", "rn164-att2-concat-mean")
_GUIDED = "vgg-att2-concat-pc"
_ATTEND_TO: dict[str, dict[str, Any]] = {f"{_GUIDED}-masks0": {"model": _GUIDED}} | {
    f"{_GUIDED}-masks{percent}": {"model": _GUIDED, "attend_to": 1.0, "attend_to_fraction": percent / 100}
    for percent in (1, 10, 100)
}
Measure = Literal["robustness", "faithfulness", "classification", "none"]


@dataclass(frozen=True)
class Experiment:
    """One table: a dataset, its rows, the options that all of them share, and what is measured on each run.

    A row is a network's name, or a key of `variants`, which are the options of rows with names of their own.
    """

    about: str
    dataset: str
    models: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    measures: tuple[Measure, ...] = ("robustness", "faithfulness")
    images: int = 64

    def config(self, row: str, seed: int, **changes: Any) -> RunConfig:
        """The run of one row and seed; of `changes` those that are None or empty change nothing."""
        changes = {name: value for name, value in changes.items() if value}
        own = self.variants.get(row, {"model": row})
        given = {"export": "none", **self.settings, **own, **changes}
        return RunConfig(dataset=self.dataset, seed=seed, name=f"{row}-s{seed}", **given)


TABLES = {
    "digits": Experiment(
        "the embedded digits: all scores and both controls, about 5 minutes a run on 2 cores",
        "cluttered_digits",
        (*_BASELINES, *_ATTENTION, *_SCORES),
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
        (*_BASELINES, *_ONE_OR_THREE, *_ATTENTION, "vgg-att2-indep-pc", *_SCORES),
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
