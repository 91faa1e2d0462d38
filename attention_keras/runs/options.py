"""TrainOptions: what a person may say about a training run.

The groups are the only list of training options. The command line is made from them, and `resolve` fills in
what was left open, which gives a `RunConfig`.
"""

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, get_args

from tyro.conf import OmitArgPrefixes

from attention_keras.errors import UserError
from attention_keras.layers.choices import AUTO, IMAGENET, Preprocessing
from attention_keras.models.spec import APPLICATION, FILE, ModelSpec
from attention_keras.runs.config import RunConfig, safe_name
from attention_keras.runs.data_options import DataOptions
from attention_keras.runs.directory import Run
from attention_keras.runs.machine_options import MachineOptions
from attention_keras.runs.model_options import ModelOptions
from attention_keras.runs.recipe_options import RecipeOptions
from attention_keras.runs.recipes import find_recipe


@dataclass(frozen=True)
class TrainOptions:
    """Everything that may be said about a training run. What is left open, the model or the recipe decides.

    Raises:
        UserError: a value that is not allowed, or values that do not go together.

    Example:
        >>> config = TrainOptions.of(dataset="svhn", compat="pc").resolve()
        >>> config.model.name, config.recipe.learning_rate, config.recipe.epochs
        ('vgg-att2-concat-pc', 0.01, 300)
    """

    data: OmitArgPrefixes[DataOptions] = field(default_factory=DataOptions)
    model: OmitArgPrefixes[ModelOptions] = field(default_factory=ModelOptions)
    recipe: OmitArgPrefixes[RecipeOptions] = field(default_factory=RecipeOptions)
    machine: OmitArgPrefixes[MachineOptions] = field(default_factory=MachineOptions)

    def __post_init__(self):
        self.resolve()

    @classmethod
    def of(cls, **values: Any) -> "TrainOptions":
        """Options by their own names, in whichever group they are.

        Example:
            >>> TrainOptions.of(epochs=3, name="try").recipe.epochs
            3
        """
        return cls().replace(**values)

    def replace(self, **values: Any) -> "TrainOptions":
        """These options with some changed, by their own names."""
        homes = {
            entry.name: group.name
            for group in dataclasses.fields(self)
            for entry in dataclasses.fields(getattr(self, group.name))
        }
        unknown = sorted(values.keys() - homes.keys())
        if unknown:
            raise UserError(f"there is no option {unknown[0]!r}; allowed: {', '.join(homes)}")
        changed = {
            group: dataclasses.replace(
                getattr(self, group), **{k: v for k, v in values.items() if homes[k] == group}
            )
            for group in {homes[name] for name in values}
        }
        return dataclasses.replace(self, **changed)

    def given(self) -> dict[str, Any]:
        """The options that differ from their defaults, by their own names."""
        return {
            entry.name: getattr(group, entry.name)
            for group in (self.data, self.model, self.recipe, self.machine)
            for entry in dataclasses.fields(group)
            if getattr(group, entry.name) != entry.default
        }

    def spec(self) -> ModelSpec:
        """The network: `model` with the axes given beside it.

        Raises:
            UserError: an unknown name, or axes that do not go together.
        """
        model = self.model
        axes = [entry.name for entry in dataclasses.fields(ModelSpec) if entry.name != "variant"]
        given = {axis: value for axis in axes if (value := getattr(model, axis)) not in (None, ())}
        backbone = model.backbone or ""
        if _is_file(backbone):
            given["backbone"] = FILE + _absolute(backbone)
        elif not backbone.startswith(APPLICATION):
            return ModelSpec.parse(model.model).replace(**given)
        spec = ModelSpec(**{"head": "linear", "compat": "scaled", **given})
        if model.model not in (ModelOptions.model, spec.name):
            raise UserError(
                f"model {model.model} and backbone {model.backbone} are two networks; give one of them "
                "(a keras: or .keras backbone takes taps, compat and the other axes)"
            )
        if model.levels is not None and (not spec.taps or model.levels != spec.levels):
            raise UserError(
                f"{model.backbone} has a level for each of its taps ({', '.join(spec.taps) or 'automatic'}); "
                f"choose them with taps; got levels {model.levels}"
            )
        return spec

    def resolve(self) -> RunConfig:
        """The run's config: the model's axes and the recipe's values in place of what was left open."""
        spec = self.spec()
        pretrained = bool(self.model.weights or spec.file)
        recipe = find_recipe(self.recipe.recipe, self.data.dataset, spec.backbone, pretrained)
        _check_preprocess(self.model.preprocess, spec)
        decided = [entry.name for entry in dataclasses.fields(recipe)]
        given = {
            name: value
            for group in (self.model, self.recipe)
            for name in decided
            if (value := getattr(group, name, None)) is not None
        }
        return RunConfig(
            data=dataclasses.replace(self.data, dataset=_anywhere(self.data.dataset)),
            model=spec,
            recipe=dataclasses.replace(recipe, **given),
            seed=self.recipe.seed,
            weights=_weights(self.model.weights),
            init_from=self.model.init_from and _absolute(self.model.init_from),
            patience=self.recipe.patience,
            balance=self.recipe.balance,
            attend_to=self.recipe.attend_to,
            attend_to_fraction=self.recipe.attend_to_fraction,
            accumulate=self.recipe.accumulate,
            deterministic=self.recipe.deterministic,
            precision=self.recipe.precision,
            steps_per_execution=self.recipe.steps_per_execution,
        )

    def run_name(self) -> str:
        """The run's name: the one given, else dataset, model and seed, and what differs from their recipe.

        A pretrained network on a folder of pictures is called by the folder, unless another run is.

        Example:
            >>> TrainOptions.of(epochs=3, width=0.25).run_name()
            'cluttered_digits-vgg-att2-concat-pc-s0-width0.25-epochs3'
        """
        if self.machine.name is not None:
            return self.machine.name
        config = self.resolve()
        plain = TrainOptions(
            data=DataOptions(dataset=self.data.dataset),
            model=dataclasses.replace(
                self.model, width=None, dropout=None, init=None, preprocess=None, init_from=""
            ),
            recipe=RecipeOptions(seed=self.recipe.seed),
        ).resolve()
        name = config.name_beside(plain)
        if config.data.is_folder and (config.weights or config.model.file):
            short = safe_name(PurePath(config.data.dataset).name)
            return short if Run(Path(self.machine.run_dir) / short).may_hold(config) else name
        return name

    @property
    def run_path(self) -> Path:
        """The run's directory."""
        return Path(self.machine.run_dir) / self.run_name()


def _anywhere(dataset: str) -> str:
    """A folder's name that holds in every working directory."""
    if not dataset.startswith("folder:"):
        return dataset
    path = dataset.removeprefix("folder:")
    return f"folder:{_absolute(path)}" if path else dataset


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _is_file(backbone: str) -> bool:
    """Whether a backbone is given as a file. Nothing else ends so."""
    return not backbone.startswith(APPLICATION) and backbone.endswith(".keras")


def _weights(weights: str) -> str:
    """`imagenet`, or a file's name that holds in every working directory."""
    return weights if weights in ("", IMAGENET) else _absolute(weights)


def _check_preprocess(preprocess: str | None, spec: ModelSpec) -> None:
    """Refuse a preprocessing that the network cannot have. Names of applications are looked up later."""
    if preprocess is None or spec.file or (spec.application and preprocess == AUTO):
        return
    if spec.application:
        raise UserError(
            f"{spec.backbone} comes with its own preprocessing; leave out preprocess {preprocess}"
        )
    if preprocess not in get_args(Preprocessing):
        allowed = ", ".join(get_args(Preprocessing))
        raise UserError(f"preprocess must be one of {allowed} for {spec.name}; got {preprocess!r}")
