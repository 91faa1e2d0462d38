"""Model names of the paper as values, `vgg-att2-concat-pc` <-> ModelSpec, and its errors. Without Keras."""

import dataclasses
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal, get_args

from attention_keras.errors import UserError
from attention_keras.layers.choices import Compat, Normalization, check_choices

Variant = Literal["attention", "plain", "gap", "pan", "hires"]
Aggregate = Literal["concat", "indep"]
Projection = Literal["down", "up"]
Globals = Literal["shared", "per_level"]
Init = Literal["torch", "keras"]
Head = Literal["paper", "linear", "class"]
LocalNorm = Literal["image", "position", "channel", "none"]

APPLICATION, HUB, FILE = "keras:", "keras_hub:", "file:"
PAPERS = ("vgg", "rn164")
BASELINES = ("vgg", "vgg-gap", "vgg-pan", "vgg-hires", "rn164", "rn164-hires")
AUTOMATIC_LEVELS = 2  # what `attend(taps="auto")` takes

# What a word of a name says: an axis and its value.
_WORDS: dict[str, tuple[str, Any]] = {
    **{f"att{levels}": ("levels", levels) for levels in (1, 2, 3)},
    **{compat: ("compat", compat) for compat in get_args(Compat)},
    **{way: ("aggregate", way) for way in get_args(Aggregate)},
    **{head: ("head", head) for head in ("class", "linear")},
    **{f"{levels}g": ("globals", "per_level") for levels in (2, 3)},
    "sigmoid": ("normalization", "sigmoid"),
    "lup": ("project", "up"),
}


def is_brought(backbone: str) -> bool:
    """Whether a backbone is none of the paper's, but an application, a preset or a saved model."""
    return backbone.startswith((APPLICATION, HUB, FILE))


@dataclass(frozen=True)
class ModelSpec:
    """What distinguishes one network of the comparison from another.

    `backbone` is `vgg`, `rn164`, `keras:<Application>`, `keras_hub:<preset>`, or `file:PATH` of a model;
    `taps` names layers of one of the last three. `levels` counts taps from the deepest one up. None of the
    axes below `head` is for `class`. Where the channels c of a tap differ from the width d of g, `project`
    `down` maps g to c (official), `up` the local features to d (`-lup`). `globals` is `per_level` for `-2g`.
    """

    backbone: str = "vgg"
    variant: Variant = "attention"
    levels: int = 2
    compat: Compat = "pc"
    aggregate: Aggregate = "concat"
    head: Head = "paper"
    normalization: Normalization = "softmax"
    project: Projection = "down"
    globals: Globals = "shared"
    taps: tuple[str, ...] = ()

    def __post_init__(self):
        check_choices(self)
        if self.head == "class":
            for axis in ("compat", "aggregate", "normalization", "project", "globals"):
                if getattr(self, axis) != getattr(type(self), axis):
                    raise UserError(f"class attention has one score, so it takes no {axis}; leave it out")
        if self.is_brought:
            automatic = 1 if self.head == "class" else AUTOMATIC_LEVELS
            object.__setattr__(self, "levels", len(self.taps) or automatic)
        elif self.backbone not in PAPERS:
            allowed = "vgg, rn164, keras:<Application>, keras_hub:<preset> or a .keras file"
            raise UserError(f"backbone must be {allowed}; got {self.backbone!r}")
        elif self.taps:
            raise UserError(f"taps are fixed by the paper for {self.backbone}; choose them with levels")

    @property
    def application(self) -> str | None:
        return self._name_after(APPLICATION)

    @property
    def preset(self) -> str | None:
        return self._name_after(HUB)

    @property
    def file(self) -> str | None:
        return self._name_after(FILE)

    def _name_after(self, prefix: str) -> str | None:
        return self.backbone.removeprefix(prefix) if self.backbone.startswith(prefix) else None

    @property
    def is_brought(self) -> bool:
        return is_brought(self.backbone)

    @property
    def name(self) -> str:
        """The canonical name; `ModelSpec.parse` is its inverse for the paper's backbones."""
        if self.variant != "attention":
            return f"{self.backbone}-{self.variant}".removesuffix("-plain")
        own = PurePath(self.file).stem if self.file else self.application or PurePath(self.preset or "").name
        levels = "" if self.is_brought and not self.taps else self.levels
        is_linear, has_score = self.head == "linear", self.head != "class"
        said = {
            "class": not has_score,
            self.aggregate: has_score and self.levels > 1 and not (is_linear and self.aggregate == "concat"),
            "linear": is_linear,
            self.compat: has_score,
            "sigmoid": self.normalization == "sigmoid",
            "lup": self.project == "up",
            f"{self.levels}g": self.globals == "per_level" and self.levels > 1,
        }
        words = [word for word, is_said in said.items() if is_said]
        return "-".join([own.lower() or self.backbone, f"att{levels}", *words])

    @classmethod
    def parse(cls, name: str) -> "ModelSpec":
        """The spec of a canonical name: what its words say, if that is called so."""
        backbone, *words = name.split("-")
        if name in BASELINES:
            return cls(backbone, variant=words[0] if words else "plain")
        if backbone in PAPERS:
            spec = cls(backbone, **dict(_WORDS[word] for word in words if word in _WORDS))
            if spec.name == name:
                return spec
        raise UserError(
            f"unknown model {name!r}; allowed: {', '.join(BASELINES)}, {{vgg,rn164}}-att{{1,2,3}}-class, or "
            f"{{vgg,rn164}}-att{{1,2,3}}[-{{concat,indep}}][-linear]-{{{','.join(get_args(Compat))}}}[-sigmoid]"
            "[-lup][-2g|-3g], where att2 and att3 say concat, indep or linear, and 2g goes with att2, for "
            "example vgg-att2-concat-pc (`attention-keras list-models` shows them all)"
        )

    def replace(self, **changes) -> "ModelSpec":
        """This spec with some axes changed; a changed attention axis on a baseline adds attention to it."""
        if self.variant != "attention" and changes.keys() - {"backbone", "variant"}:
            raise UserError(
                f"model {self.name!r} has no attention to change; start from an attention model "
                f"such as {self.backbone}-att2-concat-pc"
            )
        return dataclasses.replace(self, **changes)


# Top-1 errors in %, as far as known: from the paper's tables where others quote them, else from the comments
# of the official scripts. Full width, 300 epochs (RN-164: 200; CUB: from CIFAR-100 weights).
_DATASETS = ("cifar10", "cifar100", "svhn", "cub200")
_ERRORS = {
    "vgg": (7.77, 30.62, 4.27, 34.64),
    "vgg-gap": (9.87, 31.77, 5.84, 29.50),
    "vgg-pan": (6.29, 24.35, 8.02, 31.46),
    "rn164": (6.03, 25.34, None, None),
    "vgg-att1-dp": (6.14, 24.22, None, None),
    "vgg-att2-indep-dp": (5.91, 23.24, None, None),
    "vgg-att2-concat-dp": (5.86, 23.2, None, None),
    "vgg-att1-pc": (5.67, 23.70, None, None),
    "vgg-att2-indep-pc": (5.4, 24.1, None, None),
    "vgg-att2-concat-pc": (5.23, 23.19, 3.74, 26.80),
    "vgg-att3-concat-pc": (6.34, 22.97, 3.52, 26.95),
    "vgg-att2-concat-pc-2g": (5.68, 22.98, None, None),
}
PAPER_ERRORS = {
    dataset: {name: row[column] for name, row in _ERRORS.items() if row[column] is not None}
    for column, dataset in enumerate(_DATASETS)
}
