"""train(config): from a config to a finished run directory, resuming where an earlier command stopped."""

import contextlib
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from attention_keras.data.augment import parse_augment
from attention_keras.data.datasets import ImageDataset, load_dataset
from attention_keras.data.pipeline import evaluation_batches, steps_per_epoch, training_batches
from attention_keras.errors import UserError
from attention_keras.layers.preprocess import build_preprocess
from attention_keras.models.compute import count_macs
from attention_keras.models.transfer_weights import transfer_weights
from attention_keras.models.zoo import build_model
from attention_keras.runs import provenance
from attention_keras.runs.directory import RunDirectory, write_json, write_text
from attention_keras.runs.model_file import load_model, save_model
from attention_keras.runs.options import TrainConfig, refuse_jit
from attention_keras.training.checkpoint import load_newest
from attention_keras.training.checkpointing import Checkpointing
from attention_keras.training.graph_memory import forgetting_gradients
from attention_keras.training.keep_best import KeepBest
from attention_keras.training.optimizers import build_optimizer, build_schedule
from attention_keras.training.precision import choose_precision
from attention_keras.training.progress import Progress
from attention_keras.training.strategy import (
    build_strategy,
    is_chief,
    replicated,
    scope,
    spans_workers,
    synchronize_batch_norm,
    wait_for_workers,
)
from attention_keras.training.summary import summarize
from attention_keras.training.tensorboard import AttentionImages, NonFiniteGuard, Scalars, log_confusion


@dataclass(frozen=True)
class RunResult:
    """A finished run: its directory, its config, the numbers of `metrics.json`, and whether this process
    is the one that writes and reports."""

    path: Path
    config: TrainConfig
    metrics: dict[str, Any]
    is_chief: bool = True


def train(config: TrainConfig, report=print) -> RunResult:
    """Train, validate each epoch, read the test set once, and leave a complete run directory.

    The same config again resumes an unfinished run exactly, or returns a finished one.

    Args:
        config: what to train; open fields are resolved first.
        report: called with each line a person should read.

    Raises:
        UserError: a mistake in the config, the data or the run directory.
        Interrupted: SIGTERM or Ctrl-C came; the state is saved.

    Example:
        >>> result = train(TrainConfig(epochs=1, limit=256, name="try"))  # doctest: +SKIP
        >>> result.metrics["test_error"]  # doctest: +SKIP
    """
    with forgetting_gradients():
        return _train(config.resolved(), report)


def _train(config: TrainConfig, report) -> RunResult:
    # Several workers must find each other before TensorFlow does anything else.
    strategy = build_strategy(config.strategy)
    if config.jit == "on" and strategy is not None:
        refuse_jit(type(strategy).__name__)
    chief = is_chief(strategy)
    report = report if chief else _say_nothing
    run = RunDirectory(config)
    config = run.reconcile(config)
    if run.is_finished and not config.restart:
        report(f"{run.path} is finished already (--restart trains it anew)")
        return RunResult(run.path, config, run.read_metrics(), chief)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    _check_augment(config)
    dataset = load_dataset(config.dataset, **config.dataset_options())
    precision = "float32" if config.precision == "auto" and spans_workers(strategy) else config.precision
    config = dataclasses.replace(config, precision=choose_precision(precision))
    with scope(strategy):
        model = _build(config, dataset, strategy)
        if config.init_from:
            report(transfer_weights(load_model(config.init_from), model).table())
    view = replicated(model, strategy)
    with scope(strategy):
        _compile(view, config, len(dataset.train))
    _check_steps_per_execution(config, len(dataset.train))
    for line in summarize(config, dataset, model, strategy) if chief else ():
        report(line)
    with run.opened(config) if chief else contextlib.nullcontext(), scope(strategy):
        wait_for_workers(strategy)  # until the chief has cleared what --restart throws away
        if chief:
            write_text(run.labels, "".join(f"{name}\n" for name in dataset.class_names))
        history, seconds = _fit(config, dataset, model, view, run, report, chief)
        metrics = _finish(config, dataset, model, run, history, seconds, chief)
    report(
        f"test error {metrics['test_error']:.2%} ({metrics['test_images']:,} images), "
        f"validation error {metrics['validation_error']:.2%}; run in {run.path}"
    )
    return RunResult(run.path, config, metrics, chief)


def _check_augment(config: TrainConfig) -> None:
    if config.deterministic and not parse_augment(config.augment).is_repeatable:
        raise UserError(
            f"augment {config.augment} draws random numbers that cannot be repeated; leave out "
            "--deterministic, or use flip, crop, crop_reflect"
        )


def _check_steps_per_execution(config: TrainConfig, images: int) -> None:
    steps = steps_per_epoch(images, config.step_batch_size)
    if steps % config.steps_per_execution:
        divisors = [d for d in range(1, min(steps, 100) + 1) if steps % d == 0]
        raise UserError(
            f"steps_per_execution must divide the {steps} steps of an epoch; "
            f"got {config.steps_per_execution}, allowed here: {', '.join(map(str, divisors))}"
        )


def _say_nothing(line: str) -> None:
    """Workers other than the chief are silent."""


def _build(config: TrainConfig, dataset: ImageDataset, strategy) -> keras.Model:
    """The model with all its outputs, in the run's precision."""
    keras.utils.set_random_seed(config.seed)
    earlier_policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.precision)
    try:
        model = build_model(
            config.model_spec(),
            input_shape=dataset.image_shape,
            num_classes=dataset.num_classes,
            width=config.width,
            dropout=config.dropout,
            init=config.init,
            preprocess=build_preprocess(config.preprocess, dataset.train.images),
        )
    finally:
        keras.config.set_dtype_policy(earlier_policy)
    synchronize_batch_norm(model, strategy is not None)
    return model


def _compile(view: keras.Model, config: TrainConfig, images: int) -> None:
    """Give the view its loss and optimiser."""
    updates = steps_per_epoch(images, config.batch_size)
    schedule = build_schedule(config.schedule, config.learning_rate, updates, config.epochs)
    optimizer = build_optimizer(config.optimizer, schedule, config.weight_decay, config.accumulate)
    if config.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    view.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile={"auto": "auto", "on": True, "off": False}[config.jit],
        steps_per_execution=config.steps_per_execution,
    )
    optimizer.build(view.trainable_variables)


def _fit(config, dataset, model, view, run: RunDirectory, report, chief: bool) -> tuple[list[dict], float]:
    """Run the epochs that are left; returns the records of all epochs and the seconds they took."""
    steps = steps_per_epoch(len(dataset.train), config.step_batch_size)
    resumed = load_newest(run.checkpoints, report)
    history: list[dict] = list(resumed.record["history"]) if resumed else []
    checkpointing = Checkpointing(
        run.checkpoints,
        steps,
        config.checkpoint_interval(),
        config.keep,
        history,
        resumed,
        writes=chief,
        saves_on_signal=not spans_workers(tf.distribute.get_strategy()),
    )
    checkpointing.set_model(view)
    checkpointing.restore()
    start = checkpointing.step
    if resumed:
        report(f"resuming at step {start:,} of {steps * config.epochs:,}")
    progress = Progress(
        images_per_epoch=len(dataset.train),
        batch_size=config.step_batch_size,
        epochs=config.epochs,
        steps_per_epoch=steps,
        start_step=start,
        history=history,
        report=report,
        show_bar=chief,
    )
    callbacks = [NonFiniteGuard(start), progress, checkpointing]
    if chief:
        run.write_history(history)
        callbacks[2:2] = _records(config, dataset, model, run, history)
    checkpointing.listen()
    progress.open()
    try:
        _fit_epochs(config, dataset, view, steps, start, callbacks)
    finally:
        progress.close()
        checkpointing.stop_listening()
    return history, checkpointing.seconds


def _records(config, dataset, model, run: RunDirectory, history) -> list[keras.callbacks.Callback]:
    """The callbacks that write: history, TensorBoard, attention panels, the best model."""
    shown = slice(0, config.panels)
    images, labels = dataset.validation.images[shown], dataset.validation.labels[shown]
    return [
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: run.write_history(history)),
        Scalars(run.tensorboard, history),
        AttentionImages(model, images, labels, dataset.class_names, run.tensorboard),
        KeepBest(model, run.best_model, history),
    ]


def _fit_epochs(config, dataset, view, steps: int, start: int, callbacks) -> None:
    """`fit` the rest of an interrupted epoch, if any, and then the whole epochs."""
    validation = evaluation_batches(
        dataset.validation, num_classes=dataset.num_classes, batch_size=config.step_batch_size
    )
    epoch, done = divmod(start, steps)
    parts = [(epoch, epoch + 1, steps - done), (epoch + 1, config.epochs, steps)] if done else []
    for first, last, length in parts or [(epoch, config.epochs, steps)]:
        if first >= last:
            continue
        batches = training_batches(
            dataset.train,
            num_classes=dataset.num_classes,
            batch_size=config.step_batch_size,
            seed=config.seed,
            epochs=last,
            augment=config.augment,
            start_step=(first + 1) * steps - length,
        )
        view.fit(
            batches,
            initial_epoch=first,
            epochs=last,
            steps_per_epoch=length,
            shuffle=False,  # the batches come in their order already
            validation_data=validation,
            callbacks=callbacks,
            verbose=0,
        )


def _finish(
    config, dataset, model, run: RunDirectory, history, seconds: float, chief: bool
) -> dict[str, Any]:
    """Save the model, then read the test set, once."""
    synchronize_batch_norm(model, False)
    if chief:
        save_model(model, run.model)
    test = dataset.test()
    classifier = keras.Model(model.input, model.output["logits"])
    batches = evaluation_batches(test, num_classes=dataset.num_classes, batch_size=config.step_batch_size)
    predicted = classifier.predict(batches, verbose=0).argmax(axis=-1)
    accuracy = float(np.mean(predicted == test.labels))
    metrics = {
        "test_error": 1 - accuracy,
        "test_accuracy": accuracy,
        "test_images": len(test),
        "validation_error": 1 - history[-1]["val_accuracy"],
        "best_validation_error": 1 - max(epoch["val_accuracy"] for epoch in history),
        "parameters": sum(int(np.prod(v.shape)) for v in model.trainable_variables),
        "macs": count_macs(model),
        "images_per_second": float(np.median([epoch["images_per_second"] for epoch in history])),
        "epochs": config.epochs,
        "steps": history[-1]["step"],
        "images_seen": history[-1]["images_seen"],
        "seconds": seconds,
        "hardware": provenance.hardware(),
        "versions": provenance.library_versions(),
        "commit": provenance.commit(),
    }
    if chief:
        log_confusion(run.tensorboard, test.labels, predicted, dataset.class_names, config.epochs)
        write_json(run.metrics, metrics)
    return metrics
