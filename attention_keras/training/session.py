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
from attention_keras.data.pipeline import evaluation_batches, training_batches
from attention_keras.data.split import Objects, Split
from attention_keras.errors import UserError
from attention_keras.layers.choices import AUTO
from attention_keras.models.classifier import probabilities_of
from attention_keras.models.copies import transfer_weights
from attention_keras.models.outputs import LOGITS
from attention_keras.models.parts import frozen_layers, thaw
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import TEMPERATURE, Run
from attention_keras.runs.model_file import load_model, save_model
from attention_keras.training import device, report
from attention_keras.training.calibrate import calibrate, final_metrics, test_scores
from attention_keras.training.callbacks import AverageInPlace, History
from attention_keras.training.checkpoint import Checkpointing, load_newest
from attention_keras.training.device import Strategy, spans_workers, synchronize_batch_norm
from attention_keras.training.frozen import FrozenPart, fit_epoch
from attention_keras.training.losses import ACTIVATIONS, MEASURES, OFF_OBJECT, Units, refuse_wrong_kind
from attention_keras.training.network import Stage, build_network, compile_network, stages_of, wanted_size


class Session:
    """One training; `model` shares its layers with `answering`, which is saved, and `frozen`, its parts."""

    def __init__(self, config: RunConfig, run: Run, strategy: Strategy | None, say: Callable[[str], None]):
        """Read the data, build the model, and say what is about to happen; nothing is written yet."""
        if config.patience and spans_workers(strategy):
            raise UserError("patience does not work with several workers: only the chief has the best epoch")
        precision = config.precision
        if precision == AUTO and run.exists and not config.restart:
            precision = run.config.precision
        if precision == AUTO:  # several workers may have different processors
            precision = "float32" if spans_workers(strategy) else device.choose_precision()
        config = dataclasses.replace(config, precision=precision, image_size=wanted_size(config))
        place = {"data_dir": config.data_dir or None}
        dataset = load_dataset(config.dataset, seed=config.seed, **place, **config.for_loading())
        config = dataclasses.replace(config, image_size=dataset.image_shape[0] or 0)
        refuse_wrong_kind(config, dataset)
        if not config.restart:
            run.refuse_changed_files(dataset.name, dataset.files)
        self.config, self.run, self.dataset, self.strategy, self.say = config, run, dataset, strategy, say
        self.is_chief = device.is_chief(strategy)  # the one process that writes files
        self.history = History(config, len(dataset.train), MEASURES[dataset.kind])
        if (steps := self.history.steps_per_epoch) % (at_once := config.steps_per_execution):
            raise UserError(f"steps_per_execution must divide the {steps} steps of an epoch; got {at_once}")
        self.objects = (
            Objects.of(dataset, config.attend_to_fraction, config.seed) if config.attend_to else None
        )
        if self.objects and not self.objects.validation.any():
            self.history.left_out = f"val_{OFF_OBJECT}"
        # Names of layers count up in a process; a resumed run must find those it was saved under.
        keras.utils.clear_session(free_memory=False)
        with device.scope(strategy):
            model = build_network(config, dataset)
            model.class_names, model.activation = tuple(dataset.class_names), ACTIVATIONS[dataset.kind]
            model.value_range = dataset.values
            synchronize_batch_norm(model, strategy is not None)
            # A checkpoint has all weights; the run that they began with may be gone.
            if config.init_from and (config.restart or not load_newest(run.checkpoints, lambda line: None)):
                source = Path(config.init_from)  # a file does not say what its classes are
                same = source.is_dir() and Run(source).class_names() == list(model.class_names)
                say(transfer_weights(load_model(source), model, same_classes=same))
        self.model = device.replicated(model, strategy)
        self.units = Units.of(dataset)
        self.answering = self.units.answering(self.model) if self.units else self.model
        self.frozen = FrozenPart(self.model, strategy) if config.frozen_epochs else None
        if self.is_chief:
            for line in report.summarize(config, dataset, self.model, strategy, self.frozen):
                say(line)
            if self.objects:
                say(f"attention trained with the object of {self.objects.train.sum():,} training images")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the run's directory, in the strategy's scope; `fit` and `finish` are called inside."""
        with ExitStack() as stack:
            if self.is_chief:
                stack.enter_context(self.run.writing(self.config))
            stack.enter_context(device.scope(self.strategy))
            device.wait_for_workers(self.strategy)  # until the chief has cleared what a restart throws away
            if self.is_chief:
                self.run.write_dataset(self.dataset.class_names, self.dataset.files)
            yield

    def fit(self) -> float:
        """Train the epochs that are left; the seconds that all epochs took."""
        history, run, stages = self.history, self.run, stages_of(self.config)
        history.start()
        if resumed := load_newest(run.checkpoints, self.say):
            history.start(resumed.step, **resumed.record)
            steps = history.steps_per_epoch * stages[-1].last
            self.say(f"resuming at step {history.step:,} of {steps:,}")
        progress = report.Progress(history, stages, self.say, has_bar=self.is_chief)
        # The history first, because the others read it.
        callbacks = [history, progress, *(self._records(stages) if self.is_chief else ())]
        how = (self.config.checkpoint_every, resumed, self.strategy)
        saving = Checkpointing(self.model, run.checkpoints, history, *how)
        with progress.bar:
            for stage in stages:
                if history.step < stage.last * history.steps_per_epoch and not history.is_over:
                    self._fit_stage(stage, callbacks, saving)
        return history.seconds

    def finish(self, seconds: float) -> dict[str, Any]:
        """Save the model, then read the test set, once; the metrics finish the run."""
        shutil.rmtree(self.run.features, ignore_errors=True)
        if self.config.patience:
            self.answering.set_weights(load_model(self.run.best_model).get_weights())
        test, validation, model = self.dataset.test(), self.dataset.validation, self.answering
        self.say(f"testing on {len(test):,} images")
        model.temperature, model.thresholds = calibrate(self._logits(validation), validation.labels)
        self._save(self.run.model)
        answers = keras.ops.convert_to_numpy(probabilities_of(model, model.temperature)(self._logits(test)))
        labels = np.asarray(test.labels)
        metrics = test_scores(answers, labels, model.thresholds) | {TEMPERATURE: model.temperature}
        metrics |= final_metrics(self.config, model, self.history) | {"seconds": seconds}
        if self.is_chief:
            if self.dataset.kind == "single":
                shown = (labels, answers.argmax(axis=-1), self.dataset.class_names, metrics["epochs"])
                report.log_confusion(self.run.tensorboard, *shown)
            self.run.write_metrics(metrics)
        return metrics

    def _records(self, stages: list[Stage]) -> list[keras.callbacks.Callback]:
        """What the chief writes after each epoch; of the averaged network, where weights are averaged."""
        run, history = self.run, self.history
        run.write_history(history.records)  # so far

        def write(epoch, logs):
            run.write_history(history.records)
            if history.best["epoch"] == epoch + 1:
                self._save(run.best_model)

        # Panels once for all frozen epochs: to draw takes longer there than to train.
        skipped = {epoch for stage in stages if stage.frozen for epoch in range(1, stage.last)}
        shown = None if self.config.tiles else self.dataset.validation.take(slice(0, report.PANELS))
        board = report.Board(run.tensorboard, history, self.answering, shown, skipped)
        return [board, keras.callbacks.LambdaCallback(on_epoch_end=write)]

    def _fit_stage(self, stage: Stage, callbacks: list, saving: Checkpointing) -> None:
        config, model, history, objects = self.config, self.model, self.history, self.objects
        train, validation = self.dataset.train, self.dataset.validation
        if stage.frozen:
            model = self.frozen.head
            self.say(f"computing the features of {len(train) + len(validation):,} images, once")
            how = (self.dataset.num_classes, config.step_batch_size, self.is_chief)
            train = self.frozen.with_features(train, self.run.features / "train", *how)
            validation = self.frozen.with_features(validation, self.run.features / "validation", *how)
        elif config.frozen_epochs:
            thaw(frozen_layers(model))
        if self.units:
            train, validation = self.units.scaled(train), self.units.scaled(validation)
        told = int(objects.train.sum()) if objects else 0
        compile_network(model, config, stage, np.asarray(train.labels), told, self.strategy)
        saving.stage_began = stage.first * history.steps_per_epoch
        with saving.listening():
            if stage.frozen and config.spec.head == "class":
                fit_epoch(model, train, validation, self._in_order, [*callbacks, saving], config)
                return
            average = [AverageInPlace(stage.last)] if config.ema else []
            while history.step < stage.last * history.steps_per_epoch and not history.is_over:
                epoch, done = divmod(history.step, history.steps_per_epoch)
                epochs = epoch + 1 if done else stage.last  # first the rest of an interrupted epoch
                order = {"seed": config.seed, "augment": stage.augment, "objects": objects and objects.train}
                order |= {"epochs": epochs, "start_step": history.step}
                part = {
                    "initial_epoch": epoch,
                    "epochs": epochs,
                    "steps_per_epoch": history.steps_per_epoch - done,
                    "validation_data": self._in_order(validation, objects and objects.validation),
                    "callbacks": [*callbacks, *average, saving],  # the last one saves what the others have
                }
                batches = training_batches(train, **order, **self._form)
                with device.fused_batch_norm(model):  # the batches come in their order already
                    model.fit(batches, **part, shuffle=False, verbose=0)

    @property
    def _form(self) -> dict[str, int]:
        sizes = {"num_classes": self.dataset.num_classes, "batch_size": self.config.step_batch_size}
        return sizes | {"replicas": self.strategy.num_replicas_in_sync if self.strategy else 1}

    def _in_order(self, split: Split, objects: np.ndarray | None = None) -> tf.data.Dataset:
        return evaluation_batches(split, objects=objects, **self._form)

    def _logits(self, split: Split) -> np.ndarray:
        """`(n, k)`, without the maps, which nobody reads here."""
        if self.config.tiles:
            tiles, rows = self.frozen.tiles, range(len(split))
            return np.stack([tiles.answer(split.images.bands(row, tiles.side)).logits for row in rows])
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
