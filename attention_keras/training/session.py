"""A training session: what one run needs in one object, from its preparation to its metrics."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from attention_keras.data.datasets import load_dataset
from attention_keras.data.pipeline import evaluation_batches, steps_per_epoch, training_batches
from attention_keras.data.split import Objects, Split
from attention_keras.errors import UserError
from attention_keras.models.classifier import probabilities_of
from attention_keras.models.outputs import LOGITS
from attention_keras.models.parts import frozen_layers, thaw
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import TEMPERATURE, Run
from attention_keras.runs.model_file import load_model, save_model
from attention_keras.training.calibrate import calibrate, final_metrics, test_scores
from attention_keras.training.callbacks import AverageInPlace, History
from attention_keras.training.checkpoint import Checkpointing, load_newest
from attention_keras.training.device import fused_batch_norm
from attention_keras.training.frozen import FrozenPart, fit_epoch
from attention_keras.training.losses import OFF_OBJECT
from attention_keras.training.network import (
    Stage,
    build_network,
    compile_network,
    settle,
    stages_of,
    start_from,
)
from attention_keras.training.report import Progress, summarize
from attention_keras.training.strategy import (
    Strategy,
    is_chief,
    replicated,
    scope,
    spans_workers,
    synchronize_batch_norm,
    wait_for_workers,
)
from attention_keras.training.targets import ACTIVATIONS, MEASURES, Units, check_fit
from attention_keras.training.tensorboard import AttentionImages, Scalars, log_confusion


class Session:
    """One training, on one machine; `fit` and `finish` are called inside `writing`.

    Nothing in `config` is open. `model` shares its layers with all that the session trains and saves: with
    `answering`, the model as it is saved (one that is trained on scaled numbers answers in their units), and
    with `frozen`, its parts where the backbone is frozen at first. `objects` are the images that tell where
    their object is, where attention is trained.
    """

    def __init__(
        self, config: RunConfig, run: Run, strategy: Strategy | None, report: Callable[[str], None] = print
    ):
        """Read the data, build the model, and say what is about to happen; nothing is written yet."""
        if config.patience and spans_workers(strategy):
            raise UserError("patience does not work with several workers: only the chief has the best epoch")
        goes_on = run.exists and not config.restart
        config = settle(config, run.config.precision if goes_on else "auto", strategy)
        place = {"data_dir": config.data_dir or None}
        dataset = load_dataset(config.dataset, seed=config.seed, **place, **config.for_loading())
        config = dataclasses.replace(config, image_size=dataset.image_shape[0] or 0)
        check_fit(config, dataset)
        if not config.restart:
            run.refuse_changed_files(dataset.name, dataset.files)
        self.config, self.run, self.dataset = config, run, dataset
        self.strategy, self.report = strategy, report
        self.is_chief = is_chief(strategy)  # the one process that writes files
        self.steps_per_epoch = steps_per_epoch(len(dataset.train), config.step_batch_size)
        objects = (dataset, config.attend_to_fraction, config.seed)
        self.objects = Objects.of(*objects) if config.attend_to else None
        # Names of layers count up in a process; a resumed run must find those it was saved under.
        keras.utils.clear_session(free_memory=False)
        with scope(strategy):
            model = build_network(config, dataset)
            model.class_names, model.activation = tuple(dataset.class_names), ACTIVATIONS[dataset.kind]
            model.value_range = dataset.values
            synchronize_batch_norm(model, strategy is not None)
            # A checkpoint has all weights; the run that they began with may be gone.
            if config.init_from and (config.restart or not load_newest(run.checkpoints, lambda line: None)):
                report(start_from(config.init_from, model))
        self.model = replicated(model, strategy)
        self.units = Units.of(dataset)
        self.answering = self.units.answering(self.model) if self.units else self.model
        self.frozen = FrozenPart(self.model, strategy) if config.frozen_epochs else None
        if self.is_chief:
            for line in summarize(config, dataset, self.model, strategy, self.frozen):
                report(line)
            if self.objects:
                report(f"attention trained with the object of {self.objects.count:,} training images")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the run's directory, in the strategy's scope; `fit` and `finish` are called inside."""
        with ExitStack() as stack:
            if self.is_chief:
                stack.enter_context(self.run.writing(self.config))
            stack.enter_context(scope(self.strategy))
            wait_for_workers(self.strategy)  # until the chief has cleared what a restart throws away
            if self.is_chief:
                self.run.write_dataset(self.dataset.class_names, self.dataset.files)
            yield

    def fit(self) -> tuple[History, float]:
        """Train the epochs that are left; the run's history, and the seconds that all its epochs took."""
        config, run, writes = self.config, self.run, self.is_chief
        *_, last = stages = stages_of(config)
        resumed = load_newest(run.checkpoints, self.report)
        unmeasured = self.objects and not self.objects.validation.any()
        history = History(
            steps_per_epoch=self.steps_per_epoch,
            images_per_epoch=len(self.dataset.train),
            batch_size=config.step_batch_size,
            records=resumed.record["history"] if resumed else (),
            step=resumed.step if resumed else 0,
            leave_out=(f"val_{OFF_OBJECT}",) if unmeasured else (),
            measure=MEASURES[self.dataset.kind],
            patience=config.patience,
            first=last.first,
        )
        if resumed:
            self.report(f"resuming at step {history.step:,} of {self.steps_per_epoch * last.last:,}")
        progress = Progress(history, stages, self.report, show_bar=writes)
        # The history first, because the others read it.
        callbacks = [history, progress, *self._records(history, stages)]
        alone = not spans_workers(self.strategy)
        how = (config.checkpoint_every, resumed, writes, alone)
        saving = Checkpointing(self.model, run.checkpoints, history, *how)
        saving.restore()
        with progress.shown():
            for stage in stages:
                if history.step < stage.last * self.steps_per_epoch and not history.is_over:
                    self._fit_stage(stage, history, callbacks, saving)
        return history, saving.seconds

    def finish(self, history: History, seconds: float) -> dict[str, Any]:
        """Save the model, then read the test set, once; the metrics finish the run."""
        shutil.rmtree(self.run.features, ignore_errors=True)
        if self.config.patience:
            self.answering.set_weights(load_model(self.run.best_model).get_weights())
        test, validation, model = self.dataset.test(), self.dataset.validation, self.answering
        self.report(f"testing on {len(test):,} images")
        model.temperature, model.thresholds = calibrate(self._logits(validation), validation.labels)
        self._save(self.run.model)
        answers = keras.ops.convert_to_numpy(probabilities_of(model, model.temperature)(self._logits(test)))
        labels = np.asarray(test.labels)
        scores = test_scores(answers, labels, model.thresholds) | {TEMPERATURE: model.temperature}
        metrics = final_metrics(self.config, model, history, scores, seconds)
        if self.is_chief:
            names, epoch = self.dataset.class_names, history.records[-1]["epoch"]
            if self.dataset.kind == "single":
                log_confusion(self.run.tensorboard, labels, answers.argmax(axis=-1), names, epoch)
            self.run.write_metrics(metrics)
        return metrics

    def _records(self, history: History, stages: list[Stage]) -> list[keras.callbacks.Callback]:
        """What the chief writes after each epoch; of the averaged network, where weights are averaged."""
        if not self.is_chief:
            return []
        run, dataset = self.run, self.dataset
        run.write_history(history.records)  # so far

        def write(epoch, logs):
            run.write_history(history.records)
            if history.best["epoch"] == epoch + 1:
                self._save(run.best_model)

        shown = [Scalars(run.tensorboard, history)]
        if not self.config.tiles:
            # Once for all frozen epochs: to draw takes longer there than to train.
            skipped = {epoch for stage in stages if stage.frozen for epoch in range(1, stage.last)}
            panels = (self.answering, dataset.validation, dataset.class_names, skipped, run.tensorboard)
            shown.append(AttentionImages(*panels))
        return [*shown, keras.callbacks.LambdaCallback(on_epoch_end=write)]

    def _fit_stage(self, stage: Stage, history: History, callbacks: list, saving: Checkpointing) -> None:
        config, model, per_epoch = self.config, self.model, self.steps_per_epoch
        splits = {"train": self.dataset.train, "validation": self.dataset.validation}
        if stage.frozen:
            model, images = self.frozen.head, sum(map(len, splits.values()))
            self.report(f"computing the features of {images:,} images, once")
            how = (self.dataset.num_classes, config.step_batch_size, self.run.features, self.is_chief)
            splits = {name: self.frozen.with_features(name, split, *how) for name, split in splits.items()}
        elif self.frozen:
            thaw(frozen_layers(self.model))
        if self.units:
            splits = {name: self.units.scaled(split) for name, split in splits.items()}
        train, validation = splits.values()
        told, objects = self.objects.count if self.objects else 0, self.objects
        compile_network(model, config, stage, np.asarray(train.labels), told, self.strategy)
        saving.restore(model, stage.first * per_epoch)
        with saving.listening():
            if stage.frozen and config.spec.head == "class":
                fit_epoch(model, train, validation, self._in_order, history, [*callbacks, saving], config)
                return
            average = [AverageInPlace(stage.last)] if config.ema else []
            epoch, done = divmod(history.step, per_epoch)
            # The rest of an interrupted epoch, and then the whole ones.
            parts = [(epoch, epoch + 1, per_epoch - done)] if done else []
            parts.append((epoch + bool(done), stage.last, per_epoch))
            for first, last, steps in parts:
                if first == last or history.is_over:
                    continue
                batches = training_batches(
                    train,
                    seed=config.seed,
                    augment=stage.augment,
                    objects=objects and objects.train,
                    epochs=last,
                    start_step=(first + 1) * per_epoch - steps,
                    **self._form,
                )
                with fused_batch_norm(model):
                    model.fit(
                        batches,
                        initial_epoch=first,
                        epochs=last,
                        steps_per_epoch=steps,
                        shuffle=False,  # the batches come in their order already
                        validation_data=self._in_order(validation, objects and objects.validation),
                        callbacks=[*callbacks, *average, saving],  # the last one saves what the others have
                        verbose=0,
                    )

    @property
    def _form(self) -> dict[str, int]:
        sizes = {"num_classes": self.dataset.num_classes, "batch_size": self.config.step_batch_size}
        return sizes | {"replicas": self.strategy.num_replicas_in_sync if self.strategy else 1}

    def _in_order(self, split: Split, objects: np.ndarray | None = None) -> tf.data.Dataset:
        return evaluation_batches(split, objects=objects, **self._form)

    def _logits(self, split: Split) -> np.ndarray:
        """`(n, k)`, without the maps, which nobody reads here."""
        if self.config.tiles:
            tiles = self.frozen.tiles
            bands = (split.images.bands(row, tiles.side) for row in range(len(split)))
            return np.stack([tiles.answer(each).logits for each in bands])
        model = self.frozen.head if self.frozen and not self.strategy else self.model
        classifier = keras.Model(model.input, model.output[LOGITS])
        if model is self.model:
            classifier.jit_compile = False  # Keras's own choice is XLA on a GPU, also where it aborts
            logits = classifier.predict(self._in_order(split), verbose=0)
        else:
            features = (self.frozen.compute(tf.cast(x, "float32")) for x, _ in self._in_order(split))
            logits = np.concatenate([keras.ops.convert_to_numpy(classifier(each)) for each in features])
        return logits * self.units.deviation + self.units.mean if self.units else logits

    def _save(self, path: Path) -> None:
        """The model as it computes on one device; workers other than the chief write nothing."""
        synchronize_batch_norm(self.model, False)
        if self.is_chief:
            save_model(self.answering, path)
        synchronize_batch_norm(self.model, self.strategy is not None)
