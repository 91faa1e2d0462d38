"""TrainConfig: the one record behind the command line, `config.json` and the export's card."""

import dataclasses
import json
import math
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

from attention_keras.errors import UserError
from attention_keras.models.spec import Aggregate, Compat, Globals, ModelSpec, Normalization, Projection
from attention_keras.runs.durations import Interval
from attention_keras.runs.recipes import RecipeName, recipe_values

CONFIG_FILE = "config.json"
STRATEGIES = ("auto", "none", "mirrored", "multi_worker", "tpu")
REFUSED_STRATEGIES = {
    "parameter_server": "Keras 3 has no parameter-server training: fit cannot feed its workers",
    "central_storage": "Keras 3 reports wrong losses and accuracies under it; mirrored computes the same",
}


def _of_the_machine(default: Any) -> Any:
    """A field that says where or how a run is carried out, not what it computes; it may change on resume."""
    return field(default=default, metadata={"of_the_machine": True})


@dataclass(frozen=True)
class TrainConfig:
    """Everything that defines a training run. Fields at None are filled in by the model name or the recipe.

    Example:
        >>> config = TrainConfig(dataset="svhn", compat="pc").resolved()
        >>> config.model, config.learning_rate, config.epochs
        ('vgg-att2-concat-pc', 0.01, 300)
    """

    dataset: str = "cluttered_digits"
    """cluttered_digits (embedded, no download), svhn, cifar10, cifar100, cub200, folder:PATH, tfds:NAME."""
    data_dir: str | None = _of_the_machine(None)
    """Where TensorFlow Datasets keeps prepared data (default: TFDS_DATA_DIR or ~/tensorflow_datasets)."""
    validation_fraction: float = 0.1
    """Share of the training split held out for validation."""
    limit: int | None = None
    """Use only the first N training images and N/5 test images (for a try)."""
    image_size: int | None = None
    """Side of the images, for folder: and tfds: datasets (default 32) and cub200 (80)."""
    svhn_extra: bool = False
    """Train on SVHN's 531,131 easier extra images too."""
    skip_broken: bool = False
    """Leave out unreadable images of a folder, and list them, instead of stopping."""

    model: str = "vgg-att2-concat-pc"
    """A network of the paper by name (--list-models shows all); the axes below change it one by one."""
    backbone: str | None = None
    """vgg, rn164, or keras:<Application> such as keras:MobileNetV2 (then --taps is needed)."""
    levels: int | None = None
    """Number of attention taps, from the deepest up: 1, 2 or 3."""
    compat: Compat | None = None
    """Compatibility score: dp (dot product), pc (parametrised), additive (ours), mean (uniform control)."""
    aggregate: Aggregate | None = None
    """How levels are joined: concat (one classifier) or indep (one per level, probabilities averaged)."""
    normalization: Normalization | None = None
    """Scores to attention: softmax over the map, or sigmoid per position."""
    project: Projection | None = None
    """Where widths differ: map g down to the local features, or the local features up to g."""
    globals: Globals | None = None
    """One global feature vector shared by all levels, or one per_level."""
    taps: tuple[str, ...] | None = None
    """Layer names to attend to, on a keras:<Application> backbone."""
    width: float | None = None
    """Factor on every channel count; 1.0 is the paper's network."""
    dropout: bool | None = None
    """The official dropout, or none."""
    init: Literal["torch", "keras"] | None = None
    """Initialisers: torch as in the official code, or keras."""
    preprocess: Literal["none", "meanstd", "yuv_lcn", "gcn_zca"] | None = None
    """Pixel normalisation inside the model; statistics come from the training split."""

    init_from: str | None = None
    """Start from another run's weights: a run directory or .keras file; all layers but the classifier."""

    recipe: RecipeName = "auto"
    """Values for what is not given: paper, quick (a tenth of its steps), embedded; auto picks by dataset."""
    epochs: int | None = None
    """Passes over the training split."""
    batch_size: int | None = None
    """Images per update of the weights, over all devices."""
    accumulate: int = 1
    """Compute each update in this many parts, one after the other, to need less memory."""
    optimizer: Literal["sgd", "nesterov", "adamw"] | None = None
    """sgd and nesterov: momentum 0.9 with coupled weight decay on every parameter."""
    learning_rate: float | None = None
    """Peak learning rate, in Keras terms (Torch's 1.0 in the official VGG scripts is 0.1 here)."""
    schedule: Literal["constant", "cosine", "halve_25", "step_60_120_160", "cub_30"] | None = None
    """Learning rate over the run: cosine has a linear warm-up; the others are the paper's."""
    weight_decay: float | None = None
    """L2 on every parameter for sgd and nesterov, decoupled for adamw."""
    label_smoothing: float | None = None
    """Share of the target spread over all classes."""
    augment: str | None = None
    """none, or joined by +: flip, crop, crop_reflect, randaugment, cutmix, mixup, gridmask."""
    seed: int = 0
    """Fixes initial weights, data order, augmentation and dropout."""
    deterministic: bool = False
    """Bit-identical results from the same seed on the same machine (slower)."""
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    """auto measures the device once and takes bfloat16 where it pays."""

    strategy: str = _of_the_machine("auto")
    """tf.distribute: auto (mirrors over several GPUs), none, mirrored, multi_worker, tpu (untested)."""
    jit: Literal["auto", "on", "off"] = _of_the_machine("auto")
    """XLA compilation: auto uses it on a single GPU only (on CPUs it is slower)."""
    steps_per_execution: int = 1
    """Steps run in one call of the compiled function; more helps small models on fast devices."""
    checkpoint_every: int | str = _of_the_machine(500)
    """Steps between checkpoints, or minutes, as in 10min; one is always written at the end of an epoch."""
    keep: int = _of_the_machine(2)
    """Number of checkpoints kept."""
    panels: int = _of_the_machine(8)
    """Validation images whose attention goes to TensorBoard each epoch (0: none)."""
    run_dir: str = _of_the_machine("runs")
    """Folder of all runs."""
    name: str | None = _of_the_machine(None)
    """Name of this run (default: dataset-model-seed); the same name resumes it."""
    restart: bool = _of_the_machine(False)
    """Throw away an earlier run of this name."""
    export: bool = _of_the_machine(True)
    """Write a SavedModel when training is done."""
    export_dir: str = _of_the_machine("saved_models")
    """Folder of all exports: <export-dir>/<name>/<version>/."""

    def __post_init__(self):
        self._check_types()
        for name, value in (("epochs", self.epochs), ("batch_size", self.batch_size), ("limit", self.limit)):
            if value is not None and value < 1:
                raise UserError(f"{name} must be 1 or more; got {value}")
        for name in ("accumulate", "steps_per_execution", "keep"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be 1 or more; got {getattr(self, name)}")
        for name in ("learning_rate", "width"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UserError(f"{name} must be a positive number; got {value}")
        if self.batch_size is not None and self.batch_size % self.accumulate:
            raise UserError(f"accumulate must divide batch_size; got {self.accumulate} and {self.batch_size}")
        if self.weight_decay is not None and not 0 <= self.weight_decay < 1:
            raise UserError(f"weight_decay must be from 0 up to 1; got {self.weight_decay}")
        if self.label_smoothing is not None and not 0 <= self.label_smoothing < 1:
            raise UserError(f"label_smoothing must be from 0 up to 1; got {self.label_smoothing}")
        if not 0 < self.validation_fraction < 1:
            raise UserError(f"validation_fraction must lie between 0 and 1; got {self.validation_fraction}")
        if self.panels < 0:
            raise UserError(f"panels must be 0 or more; got {self.panels}")
        if not 0 <= self.seed < 2**31:
            raise UserError(f"seed must be from 0 to 2147483647; got {self.seed}")
        if self.name is not None and not re.fullmatch(r"\w[\w.\- ]{0,199}", self.name):
            raise UserError(f"name must be letters, digits, '.', '_', '-' or spaces; got {self.name!r}")
        self._check_strategy()
        self.checkpoint_interval()
        self.model_spec()

    def _check_strategy(self):
        if self.strategy in REFUSED_STRATEGIES:
            raise UserError(f"strategy {self.strategy} is refused: {REFUSED_STRATEGIES[self.strategy]}")
        if self.strategy not in STRATEGIES:
            raise UserError(f"strategy must be one of {', '.join(STRATEGIES)}; got {self.strategy!r}")
        if self.jit == "on" and self.strategy not in ("auto", "none"):
            refuse_jit(self.strategy)

    def _check_types(self):
        for name, annotation in typing.get_type_hints(type(self)).items():
            value = getattr(self, name)
            if annotation == float | None and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
                object.__setattr__(self, name, value)
            if not _matches(value, annotation):
                raise UserError(f"{name}: {value!r} is not allowed; expected {_describe(annotation)}")

    def checkpoint_interval(self) -> Interval:
        """When to save within an epoch.

        Raises:
            UserError: it is neither steps nor minutes, or minutes where workers must agree.
        """
        interval = Interval.parse(self.checkpoint_every)
        if interval.seconds and self.strategy == "multi_worker":
            raise UserError(
                "checkpoint_every in minutes does not work under multi_worker: all workers save at the same "
                "step, and their clocks differ; give steps, such as 500"
            )
        return interval

    def dataset_options(self) -> dict[str, Any]:
        """What `load_dataset` takes beside the name."""
        names = (
            "data_dir",
            "seed",
            "validation_fraction",
            "limit",
            "image_size",
            "svhn_extra",
            "skip_broken",
        )
        return {name: getattr(self, name) for name in names}

    def model_spec(self) -> ModelSpec:
        """The network: `model` with the axes given beside it.

        Raises:
            UserError: an unknown name, or axes that do not go together.
        """
        axes = [f.name for f in dataclasses.fields(ModelSpec) if f.name != "variant"]
        given = {axis: getattr(self, axis) for axis in axes if getattr(self, axis) is not None}
        if given.get("backbone", "").startswith("keras:"):
            return self._application_spec(given)
        return ModelSpec.parse(self.model).replace(**given)

    def _application_spec(self, given: dict[str, Any]) -> ModelSpec:
        spec = ModelSpec(**{"compat": "dp", **given})
        if self.model not in (type(self).model, spec.name):
            raise UserError(
                f"model {self.model} and backbone {self.backbone} are two networks; give one of them "
                "(a keras: backbone takes --taps, --compat and the other axes)"
            )
        if self.levels not in (None, spec.levels):
            raise UserError(f"a keras: backbone has a level for each tap: {spec.levels}; got {self.levels}")
        return spec

    def resolved(self) -> "TrainConfig":
        """This config with nothing left open: model name, recipe values and run name filled in."""
        spec = self.model_spec()
        values = recipe_values(self.recipe, self.dataset, spec.backbone)
        open_fields = {name: value for name, value in values.items() if getattr(self, name) is None}
        axes = {f.name: getattr(spec, f.name) for f in dataclasses.fields(ModelSpec) if f.name != "variant"}
        if spec.variant != "attention":
            axes = {"backbone": spec.backbone}
        elif not spec.is_application:
            axes.pop("taps")
        dataset = re.sub(r"[^\w.\-]+", "_", self.dataset).strip("_")
        name = self.name or f"{dataset}-{spec.name}-s{self.seed}"
        return dataclasses.replace(self, **{**open_fields, **axes}, model=spec.name, name=name)

    @property
    def step_batch_size(self) -> int:
        """Images per step: the batch, or the part of it that `accumulate` leaves."""
        return self.batch_size // self.accumulate

    def differences(self, other: "TrainConfig") -> dict[str, tuple[Any, Any]]:
        """Fields that would make `other` another run than this one: {name: (here, there)}."""
        return {
            f.name: (getattr(self, f.name), getattr(other, f.name))
            for f in dataclasses.fields(self)
            if not f.metadata.get("of_the_machine") and getattr(self, f.name) != getattr(other, f.name)
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is the inverse."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: Any) -> "TrainConfig":
        """A config from `to_dict` values.

        Raises:
            UserError: not a mapping, an unknown field, or a value that is not allowed.
        """
        if not isinstance(values, dict):
            raise UserError(f"a config is a JSON object; got {type(values).__name__}")
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise UserError(f"config has unknown fields: {', '.join(map(repr, unknown[:5]))}")
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    @classmethod
    def load(cls, run_directory: str | Path) -> "TrainConfig":
        """The config of a run directory.

        Raises:
            UserError: there is no readable `config.json` in it.
        """
        path = Path(run_directory) / CONFIG_FILE
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise UserError(f"{run_directory} is not a run: it has no {CONFIG_FILE}") from None
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"cannot read {path}: {error}") from None
        except UserError as error:
            raise UserError(f"{path}: {error}") from None


def refuse_jit(strategy: str) -> NoReturn:
    """Say why `--jit on` cannot be had."""
    raise UserError(
        f"jit on does not work under strategy {strategy}: XLA cannot read variables of another "
        "device; use --jit auto, or --strategy none"
    )


def _matches(value: Any, annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin is types.UnionType or origin is typing.Union:
        return any(_matches(value, option) for option in typing.get_args(annotation))
    if origin is Literal:
        return isinstance(value, str) and value in typing.get_args(annotation)
    if origin is tuple:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if annotation in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, annotation)


def _describe(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin is types.UnionType or origin is typing.Union:
        return " or ".join(_describe(option) for option in typing.get_args(annotation))
    if origin is Literal:
        return "one of " + ", ".join(typing.get_args(annotation))
    if origin is tuple:
        return "a list of strings"
    return "nothing" if annotation is type(None) else annotation.__name__
