"""What happens after steps and epochs: keep the history, stop what goes wrong, end early, average."""

import math
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from attention_keras.data.pipeline import steps_per_epoch
from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig


class History(keras.callbacks.Callback):
    """Counts steps and images, keeps a record of each finished epoch, and ends what gets no better.

    Must be the first callback. `left_out` is what Keras logs without having measured it. Patience asks the
    records alone, so that a resumed run ends where it would have; frozen epochs count where no others follow.
    """

    def __init__(self, config: RunConfig, images: int, measure: str = "accuracy", left_out: str = ""):
        super().__init__()
        self.images_per_epoch, self.batch_size = images, config.step_batch_size
        self.steps_per_epoch = steps_per_epoch(images, self.batch_size)
        self.measure, self.left_out, self.patience = measure, left_out, config.patience
        self.uncounted = config.frozen_epochs if config.epochs else 0
        self.start()

    def start(self, step: int = 0, records: Sequence[dict[str, Any]] = (), seconds: float = 0.0) -> None:
        self.step, self.records, self._began = step, list(records), time.monotonic() - seconds

    @property
    def seconds(self) -> float:
        """Spent on the run, by this process and by those before it up to their last checkpoint."""
        return time.monotonic() - self._began

    @property
    def images_seen(self) -> int:
        epoch, batch = divmod(self.step, self.steps_per_epoch)
        return epoch * self.images_per_epoch + min(batch * self.batch_size, self.images_per_epoch)

    @property
    def is_between_epochs(self) -> bool:
        return self.step % self.steps_per_epoch == 0

    @property
    def best(self) -> dict[str, Any]:
        """The record of the first epoch that validates best; epoch 0 before the first."""
        return max(self.records, key=lambda record: record[f"val_{self.measure}"], default={"epoch": 0})

    @property
    def is_over(self) -> bool:
        epochs = len(self.records) - max(self.best["epoch"], self.uncounted)
        return bool(self.patience) and epochs >= self.patience

    def on_epoch_begin(self, epoch, logs=None):
        self._first_step = self.step
        self._marks = [(time.perf_counter(), self.images_seen)]

    def on_train_batch_end(self, batch, logs):
        self.step = self._first_step + batch + 1
        # A step's loss is from before its update; what an epoch's last one has done, the validation shows.
        self._check("loss", logs["loss"])
        self._marks = [*self._marks[:2], (time.perf_counter(), self.images_seen)]

    def on_epoch_end(self, epoch, logs):
        # Without validation, and without the first step, unless it is all: it compiles.
        (began, before), (ended, after) = self._marks[-2:]
        self.records.append({
            "epoch": epoch + 1,
            "step": self.step,
            "images_seen": self.images_seen,
            **{name: float(np.squeeze(value)) for name, value in logs.items() if name != self.left_out},
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "images_per_second": (after - before) / (ended - began),
            "time": time.time(),
        })  # fmt: skip
        self._check("validation loss", logs["val_loss"])
        if self.is_over:
            self.model.stop_training = True

    def _check(self, name: str, value):
        loss = float(np.squeeze(value))
        if not math.isfinite(loss):
            raise not_finite(f"the {name} is {loss}", self.step)


def not_finite(what: str, step: int) -> UserError:
    return UserError(f"{what} at step {step}; a lower learning_rate usually helps (`restart` begins anew)")


class AverageInPlace(keras.callbacks.Callback):
    """Puts the average into the network for validation and for the callbacks before; after `last` it stays.

    Keras's SwapEMAWeights swaps by adding and subtracting, which moves the last bits of the weights.
    """

    def __init__(self, last: int):
        super().__init__()
        self.last, self.is_last = last, False

    def on_test_begin(self, logs=None):
        variables = self.model.trainable_variables
        self.trained = [keras.ops.convert_to_numpy(variable) for variable in variables]
        self.model.optimizer.finalize_variable_values(variables)

    def on_epoch_end(self, epoch, logs=None):
        self.is_last = epoch + 1 == self.last
        self.on_train_end()

    def on_train_end(self, logs=None):
        """Take it out: Keras puts it in after each `fit`, of which a resumed stage has two."""
        if not self.is_last:
            for variable, trained in zip(self.model.trainable_variables, self.trained, strict=True):
                variable.assign(trained)
