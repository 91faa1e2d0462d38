"""RunConfig: everything that defines what a run computes, with nothing left open."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from attention_keras.data.augmentations import MIXES, MOVES, NEEDS_FILES, parse_augment
from attention_keras.data.registry import WHERE_MASKS_ARE, has_no_masks
from attention_keras.errors import UserError
from attention_keras.models.spec import APPLICATION, ModelSpec
from attention_keras.runs.data_options import DataOptions
from attention_keras.runs.field_types import check_types
from attention_keras.runs.recipes import PAPER, Precision, Recipe

LONGEST_NAME = 120


@dataclass(frozen=True)
class RunConfig:
    """What a run computes. `TrainOptions.resolve` makes one, and `config.json` holds it.

    Two values stand for what only the machine and the data tell, until the run begins: precision `auto`,
    and an `image_size` of 0.

    Attributes:
        data: the images.
        model: the network.
        recipe: how it is made and trained.
        seed: of initial weights, data order, augmentation and dropout.
        weights: of a backbone from keras.applications: `imagenet` or a file; empty for none.
        init_from: run or file that the weights come from; empty for none.
        patience: epochs without a better one after which the run ends with the best; 0 is off.
        balance: whether all classes count alike in the loss.
        attend_to: weight of the loss on attention off the object; 0 is off.
        attend_to_fraction: share of the masks that it uses.
        accumulate: parts in which an update is computed.
        deterministic: whether results are the same to the bit.
        precision: the dtype policy.
        steps_per_execution: steps in a call of the compiled function.

    Raises:
        UserError: a value that is not allowed, or values that do not go together.
    """

    data: DataOptions = field(default_factory=DataOptions)
    model: ModelSpec = field(default_factory=ModelSpec)
    recipe: Recipe = PAPER
    seed: int = 0
    weights: str = ""
    init_from: str = ""
    patience: int = 0
    balance: bool = False
    attend_to: float = 0.0
    attend_to_fraction: float = 1.0
    accumulate: int = 1
    deterministic: bool = False
    precision: Precision = "auto"
    steps_per_execution: int = 1

    def __post_init__(self):
        check_types(self)
        check_types(self.recipe)
        if self.accumulate < 1 or self.recipe.batch_size % self.accumulate:
            raise UserError(
                f"accumulate must divide batch_size; got {self.accumulate} and {self.recipe.batch_size}"
            )
        if not parse_augment(self.recipe.augment).is_repeatable and self.deterministic:
            raise UserError(
                f"augment {self.recipe.augment} draws random numbers that cannot be repeated; leave out "
                f"deterministic, or use {', '.join(MOVES + MIXES)}"
            )
        crops = parse_augment(self.recipe.augment).crops
        if crops and not self.data.is_folder:
            raise UserError(f"augment {crops[0]} {NEEDS_FILES}; got {self.data.dataset}")
        if self.recipe.all_epochs < 1:
            raise UserError("epochs must be 1 or more; 0 is for a run of frozen_epochs alone")
        if self.recipe.frozen_epochs and not self.model.is_brought:
            raise UserError(
                f"frozen_epochs are for a backbone keras:<Application> or FILE.keras; got {self.model.name}"
            )
        if self.attend_to:
            self._check_attend_to()

    def _check_attend_to(self) -> None:
        if self.model.variant != "attention" or self.model.compat == "mean":
            raise UserError(
                f"attend_to needs a network that learns where to look, such as vgg-att2-concat-pc; "
                f"got {self.model.name}"
            )
        if has_no_masks(self.data.dataset):
            raise UserError(f"{self.data.dataset} has no masks for attend_to; {WHERE_MASKS_ARE}")
        if self.recipe.frozen_epochs:
            raise UserError("attend_to needs a backbone that learns from the start; give frozen_epochs 0")
        if alone := parse_augment(self.recipe.augment).without_masks:
            raise UserError(
                f"attend_to needs masks that change with the images, and augment {alone[0]} changes images "
                f"alone; use {', '.join(MOVES)}"
            )

    @property
    def step_batch_size(self) -> int:
        """Images per step: the batch, or the part of it that `accumulate` leaves."""
        return self.recipe.batch_size // self.accumulate

    def flat(self) -> dict[str, Any]:
        """Every value by its own name; `model` is the network's."""
        values: dict[str, Any] = {"model": self.model.name}
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            inner = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
            values |= {f.name: getattr(value, f.name) for f in inner} if inner else {entry.name: value}
        return values

    def differences(self, other: "RunConfig") -> dict[str, tuple[Any, Any]]:
        """Values that would make `other` another run than this one: {name: (here, there)}.

        What `other` leaves open, precision `auto` and an image size of 0, differs from nothing.
        """
        here, there = self.flat(), other.flat()
        open_values = {("precision", "auto"), ("image_size", 0)}
        return {
            name: (here[name], there[name])
            for name in here
            if here[name] != there[name] and (name, there[name]) not in open_values
        }

    def name_beside(self, plain: "RunConfig") -> str:
        """A run's name: dataset, network and seed, and what differs from `plain`, so that names differ too.

        Args:
            plain: what the same dataset, network and seed give without further options.
        """
        data = self.data.dataset
        if self.data.is_folder:  # called by its own name, wherever it lies
            data = f"folder-{PurePath(data).name}"
        weights = [PurePath(self.weights).name.split(".")[0]] if self.weights else []
        parts = [data, self.model.name, *weights, *self.model.taps, f"s{self.seed}"]
        known = plain.flat()
        for name, value in self.flat().items():
            if value == known[name]:
                continue
            label = name.replace("_", "-")
            number = f"{value:g}" if isinstance(value, float) else str(value)
            parts.append(label if value is True else f"no-{label}" if value is False else label + number)
        name = "-".join(safe_name(part) for part in parts)
        if len(name) <= LONGEST_NAME:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        return f"{name[: LONGEST_NAME - 9]}-{digest}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is the inverse."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: Any) -> "RunConfig":
        """A config from `to_dict` values, or from the flat record of version 0.1.

        Raises:
            UserError: not a mapping, an unknown field, or a value that is not allowed.
        """
        if not isinstance(values, dict):
            raise UserError(f"a config is a JSON object; got {type(values).__name__}")
        if isinstance(values.get("model"), dict):
            return _build(cls, values)
        return _from_version_0_1(values)


def safe_name(text: str) -> str:
    """Text as part of a file name.

    Example:
        >>> safe_name("my photos/2026")
        'my_photos_2026'
    """
    return re.sub(r"[^\w.\-]+", "_", text).strip("_")


def _build(kind: type, values: Any) -> Any:
    """An instance of the dataclass `kind`, with the dataclasses inside it."""
    if not isinstance(values, dict):
        raise UserError(f"{kind.__name__} is a JSON object; got {type(values).__name__}")
    unknown = sorted(set(values) - {entry.name for entry in dataclasses.fields(kind)})
    if unknown:
        raise UserError(f"config has unknown fields: {', '.join(map(repr, unknown[:5]))}")
    if kind is DataOptions:
        values = _as_before(values)
    groups = {"data": DataOptions, "model": ModelSpec, "recipe": Recipe} if kind is RunConfig else {}
    fields = {}
    for name, value in values.items():
        if name in groups:
            fields[name] = _build(groups[name], value)
        else:
            fields[name] = tuple(value) if isinstance(value, list) else value
    return _checked(lambda: kind(**fields))


def _as_before(data: dict[str, Any]) -> dict[str, Any]:
    """Data options of a record; one that does not say how pictures were resized had them stretched."""
    of_any_shape = str(data.get("dataset", "")).startswith(("folder:", "tfds:"))
    return {"resize": "stretch", **data} if of_any_shape else data


def _checked(make: Callable[[], Any]) -> Any:
    """What `make` makes; a field that is missing or of a wrong kind becomes one line."""
    try:
        return make()
    except (TypeError, AttributeError) as error:
        raise UserError(f"config cannot be read: {error}") from None


_ONLY_OF_VERSION_0_1 = {
    *("data_dir", "strategy", "jit", "checkpoint_every", "keep", "panels", "run_dir", "name", "restart"),
    *("export", "export_dir", "recipe"),
}


def _from_version_0_1(values: dict[str, Any]) -> RunConfig:
    """Version 0.1 wrote all fields into one flat record, with null for what there was none of."""
    groups: dict[str, dict[str, Any]] = {"data": {}, "model": {}, "recipe": {}, "": {}}
    homes = {f.name: "data" for f in dataclasses.fields(DataOptions)}
    homes |= {f.name: "model" for f in dataclasses.fields(ModelSpec)}
    homes |= {f.name: "recipe" for f in dataclasses.fields(Recipe)}
    homes |= {f.name: "" for f in dataclasses.fields(RunConfig)}
    homes["model"] = "model"
    unknown = sorted(set(values) - homes.keys() - _ONLY_OF_VERSION_0_1)
    if unknown:
        raise UserError(f"config has unknown fields: {', '.join(map(repr, unknown[:5]))}")
    for name, value in values.items():
        if name not in _ONLY_OF_VERSION_0_1 and value is not None:
            groups[homes[name]][name] = tuple(value) if isinstance(value, list) else value
    named = groups["model"].pop("model", ModelSpec().name)
    if not isinstance(named, str):
        raise UserError(f"config: model must be a name; got {named!r}")
    axes = groups["model"]
    application = str(axes.get("backbone", "")).startswith(APPLICATION)
    return _checked(
        lambda: RunConfig(
            data=DataOptions(**_as_before(groups["data"])),
            model=ModelSpec(**axes) if application else ModelSpec.parse(named).replace(**axes),
            recipe=dataclasses.replace(PAPER, **groups["recipe"]),
            **groups[""],
        )
    )
