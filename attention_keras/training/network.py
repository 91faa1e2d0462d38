"""The network of a run: its config settled, the model built and compiled."""

import dataclasses

import keras

from attention_keras.data.datasets import ImageDataset
from attention_keras.data.pipeline import steps_per_epoch
from attention_keras.layers.preprocess import build_preprocess
from attention_keras.models.classifier import Classifier
from attention_keras.models.zoo import build_model
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.runs.machine_options import MachineOptions
from attention_keras.training.optimizers import build_optimizer, build_schedule
from attention_keras.training.precision import choose_precision
from attention_keras.training.strategy import Strategy, spans_workers


def settle(
    config: RunConfig, earlier: Run | None, dataset: ImageDataset, strategy: Strategy | None
) -> RunConfig:
    """The config with nothing open.

    Args:
        config: may have precision `auto` and an image size of 0.
        earlier: the run to go on with, if there may be one: it keeps the precision it began with.
        dataset: tells the size of the images.
        strategy: several workers may have different processors, and take float32.
    """
    if config.precision != "auto":
        precision = config.precision
    elif earlier is not None and earlier.exists:
        precision = earlier.config.precision
    else:
        precision = "float32" if spans_workers(strategy) else choose_precision("auto")
    data = dataclasses.replace(config.data, image_size=dataset.image_shape[0])
    return dataclasses.replace(config, precision=precision, data=data)


def build_network(config: RunConfig, dataset: ImageDataset) -> Classifier:
    """The network in the run's precision, with the run's initial weights."""
    keras.utils.set_random_seed(config.seed)
    earlier_policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        return build_model(
            config.model,
            input_shape=dataset.image_shape,
            num_classes=dataset.num_classes,
            width=config.recipe.width,
            dropout=config.recipe.dropout,
            init=config.recipe.init,
            preprocess=build_preprocess(config.recipe.preprocess, dataset.train.images),
        )
    finally:
        keras.config.set_dtype_policy(earlier_policy)


def compile_network(
    model: Classifier, config: RunConfig, machine: MachineOptions, images: int, told: int = 0
) -> None:
    """Give the network its loss and optimiser; call it in the strategy's scope.

    Args:
        model: from `build_network`, replicated where there is a strategy.
        config: of the run.
        machine: says whether XLA compiles.
        images: training images in an epoch.
        told: how many of them come with their object; where there are any, the model is a guided one.
    """
    recipe = config.recipe
    updates = steps_per_epoch(images, recipe.batch_size)
    schedule = build_schedule(recipe.schedule, recipe.learning_rate, updates, recipe.epochs)
    optimizer = build_optimizer(recipe.optimizer, schedule, recipe.weight_decay, config.accumulate)
    if config.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    if told:
        model.attend_to(config.attend_to * images / told)
    smoothing = recipe.label_smoothing
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile={"auto": "auto", "on": True, "off": False}[machine.jit],
        steps_per_execution=config.steps_per_execution,
    )
    optimizer.build(model.trainable_variables)
