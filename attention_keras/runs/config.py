"""RunConfig: every option of a training run, declared once.

Flags and their help, the run's name, `config.json`, the comparison of two configs and the summary at the
start of a run are all made from these fields.
"""

import contextlib
import dataclasses
from functools import cached_property, partial
from typing import Any

from attention_keras.data.registry import IMAGE_FILES, VALIDATION_FRACTION, GroupBy, Labels, Resize
from attention_keras.errors import UserError
from attention_keras.layers.choices import Compat
from attention_keras.models.spec import Head, Init, ModelSpec
from attention_keras.runs import options as rules
from attention_keras.runs import recipes
from attention_keras.runs.checks import check_together
from attention_keras.runs.options import at_least, check_values, option, options_of

# ruff: noqa: RUF009 (a call of `option` is a field)
_images = partial(option, group="images")
_network = partial(option, group="network")
_training = partial(option, group="training")
_recipe = partial(option, None, group="training", default="the recipe's")
_machine = partial(option, group="machine", identifies=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What a run computes, and where. What is not given is filled in: nothing is None, but for the `compat`
    and `head` of a network without attention.

    The model's name, the dataset and the recipe fill in what they decide. Precision `auto` and an image size
    of 0 stand for what only the machine and the data tell when the run begins.

    Example:
        >>> config = RunConfig(dataset="svhn", compat="pc")
        >>> config.model, config.learning_rate, config.epochs
        ('vgg-att2-concat-pc', 0.01, 300)
    """

    dataset: str = _images("cluttered_digits")
    """cluttered_digits (embedded, no download), svhn, cifar10, cifar100, cub200, folder:PATH, table:FILE
    (a CSV file), tfds:NAME."""
    validation_fraction: float = _images(VALIDATION_FRACTION, rule=rules.BETWEEN_0_AND_1, rare=True)
    """Share of the training split held out for validation."""
    limit: int = _images(0, default="0, all", rule=at_least(0))
    """Use the first N training and N/5 test images, for a try."""
    image_size: int = _images(0, default="0, the dataset's own, or 32", rule=at_least(0))
    """Side of the images, for folder: and tfds: datasets and cub200."""
    tiles: int = _images(0, default="0, off", rule=at_least(0), rare=True)
    """Read images of any size in tiles of this side, at their own resolution, with a trained backbone that
    stays frozen. Attention spans the whole image."""
    margin: int = _images(0, default="0, none", rule=at_least(0), rare=True)
    """Pixels on each side of a tile that are read and left out, such as 32: tiles overlap, and no place is at
    the border of one."""
    resize: Resize = _images("crop")
    """Images of other shapes: crop takes the middle, stretch distorts, pad adds black."""
    skip_broken: bool = _images(False)
    """Leave out unreadable images of a folder, and list them."""
    range: tuple[float, ...] = _images(
        (), default="that of the training images", rule=rules.LOW_AND_HIGH, rare=True
    )
    """Values LOW HIGH that become black and white in images of more than 8 bits."""
    channels: int = _images(3, rule=rules.UP_TO_16, rare=True)
    """1 is grey, 3 RGB; others, to 16, are those of .npy arrays (h, w, c), or channels or pages of TIFF."""
    columns: tuple[str, ...] = _images((), default="path, label, ...", rare=True)
    """Other names of columns in a table, such as label=species group=patient."""
    labels: Labels = _images("auto", default="auto, tags where a label has a semicolon", rare=True)
    """What the labels of a table are: single, a class each; multi, tags such as cat;dog; number."""
    group_by: GroupBy = _images("none", rare=True)
    """parent keeps all images of a folder PATH/CLASS/GROUP on one side of the split."""

    model: str = _network(None, default=recipes.DEFAULT_MODEL)
    """A network by name (`attention-keras list-models`). A keras: or .keras backbone has names too, such as
    mobilenetv2-att-indep-linear-dp; its own default is class where it is trained, else linear-scaled."""
    backbone: str = _network(None, default="the model's")
    """vgg, rn164, keras:<Application> such as keras:MobileNetV2, keras_hub:<preset or its folder>, or a saved
    model, FILE.keras."""
    weights: str = _network("")
    """Weights of a keras:<Application> without its top: imagenet, or a file
    (.weights.h5, .h5, .keras)."""
    taps: tuple[str, ...] = _network((), default="the last layer of its deepest resolutions", rare=True)
    """Layer names to attend to on a keras: or .keras backbone."""
    compat: Compat = _network(None, default="the model's", identifies=False)
    """Score: dp (dot product), pc (parametrised), scaled (dp at unit variance), additive, mean (control)."""
    head: Head = _network(None, default="the model's", identifies=False, rare=True)
    """class, for a trained backbone: each class attends by itself, beside a linear probe of the average.
    linear: one classifier of what a score attends to. paper: the same after BN, ReLU, dropout."""
    width: float = _recipe(group="network", rule=rules.POSITIVE, rare=True)
    """Factor on every channel count; 1.0 is the paper's network."""
    dropout: bool = _recipe(group="network", rare=True)
    """The official dropout."""
    init: Init = _recipe(group="network", rare=True)
    """Initialisers: torch as in the official code, or keras."""
    preprocess: str = _recipe(group="network", rare=True)
    """Pixel normalisation inside the model: none, meanstd, yuv_lcn, gcn_zca (statistics of the training
    split). A keras: backbone has its own; for a .keras file also auto (its graph begins with it), raw,
    imagenet (ImageNet's mean and deviation), or an application's such as ResNet50."""
    init_from: str = _network("")
    """Start from another run's weights: a run directory or .keras file. The classifier starts anew unless it
    is a run with the same classes."""

    recipe: recipes.RecipeName = _training("auto", identifies=False)
    """Values for what is not given: paper, quick (a tenth of its epochs), modern (30 epochs, larger batches),
    embedded, finetune (a pretrained backbone: the head alone, and with epochs all weights after it); auto
    picks by backbone and dataset."""
    epochs: int = _recipe(rule=at_least(0))
    """Passes over the training split in which all weights learn."""
    frozen_epochs: int = _recipe(rule=at_least(0), rare=True)
    """Passes before these in which a keras: or .keras backbone is frozen. Its features are computed once, and
    a class head is fitted to them in one pass."""
    frozen_learning_rate: float = _recipe(rule=rules.POSITIVE, rare=True)
    """Peak learning rate of the frozen epochs."""
    patience: int = _training(0, default="0, off", rule=at_least(0))
    """End after this many epochs without a better validation accuracy. The best epoch is tested and exported;
    they are counted once all weights learn, if they ever do."""
    balance: bool = _training(False)
    """Make all classes count alike in the loss."""
    batch_size: int = _recipe(rule=at_least(1))
    """Images per update of the weights, over all devices."""
    accumulate: int = _training(1, rule=at_least(1), rare=True)
    """Compute each update in this many parts, one after the other, to need less memory."""
    optimizer: recipes.Optimizer = _recipe(rare=True)
    """sgd and nesterov: momentum 0.9 with coupled weight decay on every parameter."""
    learning_rate: float = _recipe(rule=rules.POSITIVE)
    """Peak learning rate. Torch's 1.0 in the official VGG scripts is 0.1 in Keras's terms."""
    schedule: recipes.Schedule = _recipe(rare=True)
    """Learning rate over the run: cosine has a linear warm-up; the others are the paper's."""
    weight_decay: float = _recipe(rule=rules.BELOW_ONE, rare=True)
    """L2 on every parameter for sgd and nesterov, decoupled for adamw."""
    label_smoothing: float = _recipe(rule=rules.BELOW_ONE, rare=True)
    """Share of the target spread over all classes."""
    ema: float = _recipe(rule=rules.BELOW_ONE, rare=True)
    """Average the weights over the updates, each counting this much less than the next (0: off); the average
    is validated, tested and exported."""
    augment: str = _recipe()
    """none, or joined by +: flip, crop, crop_reflect, resized_crop (of a folder's files), cutout, mixup,
    cutmix, randaugment, gridmask."""
    attend_to: float = _training(0.0, default="0, off", rule=rules.ZERO_OR_POSITIVE, rare=True)
    """Weight of a loss on the share of attention that lies off the object; it needs images with masks."""
    attend_to_fraction: float = _training(1.0, rule=rules.UP_TO_ONE, rare=True)
    """Share of the training images with a mask whose mask is used."""
    seed: int = _training(0, rule=rules.SEED)
    """Fixes weights, order, augmentation, dropout."""
    deterministic: bool = _training(False, rare=True)
    """Bit-identical results from the same seed on the same machine (slower)."""
    precision: recipes.Precision = _training("auto", rare=True)
    """auto: mixed_bfloat16 where the processor or GPU has bfloat16 arithmetic, else float32."""
    steps_per_execution: int = _training(1, rule=at_least(1), rare=True)
    """Steps run in one call of the compiled function; more helps small models on fast devices."""

    data_dir: str = _machine("", default="TFDS_DATA_DIR or ~/tensorflow_datasets")
    """Where TensorFlow Datasets keeps prepared data."""
    strategy: recipes.Strategy = _machine("auto", rare=True)
    """tf.distribute: auto (mirrors over several GPUs), none, mirrored, multi_worker."""
    checkpoint_every: int = _machine(500, rule=at_least(1), rare=True)
    """Steps between checkpoints; one is always written at the end of an epoch."""
    run_dir: str = _machine("runs")
    """Folder of all runs."""
    name: str = _machine("", default="dataset, model, options, seed", rule=rules.NAME)
    """Name of this run; the same name resumes it."""
    restart: bool = _machine(False)
    """Throw away an earlier run of this name."""
    export: str = _machine("saved_models")
    """Folder of the SavedModel, EXPORT/NAME/VERSION, or none."""

    def __post_init__(self):
        check_values(self)
        paths = {name: getattr(self, name) for name in ("dataset", "backbone", "weights", "init_from")}
        self.__dict__.update(recipes.absolute_paths(**paths))
        self.__dict__.update(recipes.fill(vars(self)))
        check_together(self)

    @cached_property
    def spec(self) -> ModelSpec:
        return recipes.find_spec(self.model, self.backbone, self.taps)

    @property
    def has_files(self) -> bool:
        return self.dataset.startswith(IMAGE_FILES)

    @property
    def resize_of_others(self) -> Resize:
        """How images from elsewhere are brought to the network's size: as those of the training were."""
        return "stretch" if self.dataset == "cub200" else self.resize

    @property
    def step_batch_size(self) -> int:
        """Images per step: the batch, or the part of it that `accumulate` leaves."""
        return self.batch_size // self.accumulate

    def for_loading(self) -> recipes.Values:
        """What `load_dataset` takes beside the name, the seed and the place."""
        names = "validation_fraction resize skip_broken columns group_by labels range channels"
        sizes = {"image_size": self.image_size or None, "limit": self.limit or None}
        return {name: getattr(self, name) for name in names.split()} | sizes | {"whole": bool(self.tiles)}

    def replace(self, **changes: Any) -> "RunConfig":
        """This config with some values changed; what was filled in is filled in anew."""
        return RunConfig.from_dict(self.given() | changes)

    def given(self) -> recipes.Values:
        """As few of the values as say what this config is; the others follow from them."""
        said = self.to_dict()
        for field in dataclasses.fields(self):
            fewer = {name: value for name, value in said.items() if name != field.name}
            with contextlib.suppress(UserError):
                if getattr(self, field.name) == field.default or RunConfig(**fewer) == self:
                    said = fewer
        return said

    def differences(self, other: "RunConfig") -> dict[str, tuple[Any, Any]]:
        """Values that would make `other` another run than this one: {name: (here, there)}.

        What `other` leaves open, precision `auto` and an image size of 0, differs from nothing.
        """
        values = {name: (value, getattr(other, name)) for name, value in self.identity().items()}
        is_open = {"precision": other.precision == "auto", "image_size": not other.image_size}
        return {name: pair for name, pair in values.items() if pair[0] != pair[1] and not is_open.get(name)}

    def identity(self) -> recipes.Values:
        """The values that decide what is computed; another one makes another run."""
        return {name: getattr(self, name) for name, about in options_of(self).items() if about.identifies}

    def to_dict(self) -> recipes.Values:
        """The values by their names, but for what the model's name says too; `from_dict` is the inverse."""
        return {name: getattr(self, name) for name in options_of(self) if name not in ("compat", "head")}

    @classmethod
    def from_dict(cls, values: Any) -> "RunConfig":
        if not isinstance(values, dict):
            raise UserError(f"a config is a JSON object; got {type(values).__name__}")
        known = options_of(cls)
        if unknown := sorted(set(values) - known.keys()):
            raise UserError(f"there is no option {unknown[0]!r}; allowed: {', '.join(known)}")
        given: recipes.Values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**given)
