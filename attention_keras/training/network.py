"""The network of a run: built, and compiled for each stage of the training."""

from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from attention_keras.data.datasets import ImageDataset, has_free_size
from attention_keras.data.pipeline import steps_per_epoch
from attention_keras.data.split import kind_of
from attention_keras.errors import UserError
from attention_keras.layers.choices import AUTO, RAW
from attention_keras.layers.preprocess import PREPROCESSING, build_preprocess
from attention_keras.models.classifier import Classifier, TrainingHooks
from attention_keras.models.copies import for_image_size
from attention_keras.models.graph import all_layers
from attention_keras.models.parts import thaw
from attention_keras.models.pretrained import (
    DEFAULT_SIZE,
    application_size,
    begins_with_preprocessing,
    build_application,
    build_preset,
    preprocessing_layer,
    preset_pixels,
)
from attention_keras.models.tiled import tiled
from attention_keras.models.zoo import build_model
from attention_keras.runs.config import RunConfig
from attention_keras.runs.model_file import image_side, load_model
from attention_keras.training.device import hooks_of, jit_compile
from attention_keras.training.losses import OFF_OBJECT, MeanOffObject, guidance, loss_of, metric_of
from attention_keras.training.optimizers import build_optimizer, build_schedule


class Stage(NamedTuple):
    """The epochs first + 1 to last of a run, trained with one optimiser, at most at this learning rate."""

    first: int
    last: int
    learning_rate: float
    augment: str
    frozen: bool


def stages_of(config: RunConfig) -> list[Stage]:
    """The stages of a run that have epochs: with a frozen backbone, then with all weights; or one of them."""
    frozen, all_epochs = config.frozen_epochs, config.frozen_epochs + config.epochs
    head_alone = Stage(0, frozen, config.frozen_learning_rate, "none", True)
    whole = Stage(frozen, all_epochs, config.learning_rate, config.augment, False)
    return [stage for stage in (head_alone, whole) if stage.first < stage.last]


def wanted_size(config: RunConfig) -> int:
    """The image size of a config, or that of its trained backbone; 0 where the data decide."""
    size, spec = config.image_size, config.spec
    if size or config.tiles or not has_free_size(config.dataset):
        return size
    if spec.file:
        return image_side(spec.file) or DEFAULT_SIZE
    if spec.preset:
        return keras.tree.flatten(build_preset(spec.preset).input)[0].shape[1] or DEFAULT_SIZE
    return application_size(spec.application) if spec.application and config.weights else 0


def build_network(config: RunConfig, dataset: ImageDataset) -> Classifier:
    """The network in the run's precision, with the run's initial weights."""
    keras.utils.set_random_seed(config.seed)
    earlier_policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        backbone = _backbone(config, (config.tiles,) * 2 + (3,) if config.tiles else dataset.image_shape)
        preprocess, spec = _preprocess(config, dataset, backbone), config.spec
        if config.tiles:
            backbone, spec = tiled(backbone, spec.taps or "auto", config.margin), spec.replace(taps=())
        options = {"width": config.width, "dropout": config.dropout, "init": config.init}
        parts = {"preprocess": preprocess, "backbone": backbone}
        return build_model(spec, dataset.image_shape, dataset.num_classes, **options, **parts)
    finally:
        keras.config.set_dtype_policy(earlier_policy)


def _backbone(config: RunConfig, image_shape: tuple[int, int, int]) -> keras.Model | None:
    """None for the paper's own. A pretrained one keeps its batch normalisation, whatever else learns."""
    model = config.spec
    if not model.is_brought:
        return None
    if model.application:
        backbone = build_application(model.application, image_shape, config.weights)
    elif model.preset:
        backbone = build_preset(model.preset, image_shape)
    else:
        backbone = load_model(model.file)
        takes = tuple(backbone.input_shape[1:])
        if takes[-1] not in (None, image_shape[-1]):
            raise UserError(
                f"{model.file} takes images of {takes[-1]} channels, and these have {image_shape[-1]}; "
                f"give channels {takes[-1]} or another backbone"
            )
        if any(side not in (None, wanted) for side, wanted in zip(takes, image_shape)):
            backbone = for_image_size(backbone, image_shape[:2])
    if config.frozen_epochs:
        backbone.trainable = False
    elif config.weights or model.file or model.preset:
        thaw(list(all_layers(backbone)))
    return backbone


def _preprocess(config: RunConfig, dataset: ImageDataset, backbone) -> keras.layers.Layer | None:
    """What stands before the backbone; None where it takes raw pixels."""
    kind, spec = config.preprocess, config.spec
    if kind == AUTO and spec.application:
        kind = spec.application if config.channels == 3 else "none"
    if kind in PREPROCESSING:
        return build_preprocess(kind, dataset.train.images)
    if kind not in (AUTO, RAW):
        return preprocessing_layer(kind)
    if kind == AUTO and spec.preset and (pixels := preset_pixels(spec.preset)):
        return pixels
    if kind == RAW or begins_with_preprocessing(backbone):
        return None
    raise UserError(
        f"{Path(spec.file or spec.preset).name} does not begin with a layer that normalises pixels; say with "
        "preprocess what it expects: imagenet (mean and deviation, as Torch's networks), the name of an "
        "application such as MobileNetV2, none (pixels from -1 to 1), or raw (0 to 255)"
    )


def compile_network(
    model: Classifier, config: RunConfig, stage: Stage, labels: np.ndarray, told: int = 0, strategy=None
) -> None:
    """Give what a stage trains its loss and optimiser; of an epoch's images `told` come with their object."""
    updates = steps_per_epoch(len(labels), config.step_batch_size) / config.accumulate
    schedule = build_schedule(config.schedule, stage.learning_rate, updates, stage.last - stage.first)
    averaged = (config.accumulate, config.ema)
    optimizer = build_optimizer(config.optimizer, schedule, config.weight_decay, *averaged)
    if config.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
    hooks = hooks_of(strategy)
    if told:
        hooks["terms"] = [guidance(config.attend_to * len(labels) / told)]
        hooks["metrics"] = [MeanOffObject(OFF_OBJECT)]
    classes = model.output["logits"].shape[-1]
    model.compile(
        optimizer=optimizer,
        loss=loss_of(labels, classes, config.label_smoothing, config.balance),
        metrics=[metric_of(kind_of(labels), classes)],
        hooks=TrainingHooks(**hooks),
        jit_compile=jit_compile(),
        steps_per_execution=config.steps_per_execution,
    )
    optimizer.build(model.trainable_variables)
