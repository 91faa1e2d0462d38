"""What happens after steps and epochs: keep the history, stop what goes wrong, end early, average."""

import math
import time
from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np

from attention_keras.errors import UserError


class History(keras.callbacks.Callback):
    """Counts steps and images, keeps a record of each finished epoch, and ends what gets no better.

    Must be the first callback. A resumed run brings the `records` and the `step` that earlier processes came
    to. `leave_out` names what Keras logs without having measured it, and `measure` what a validation is
    judged by. Training ends at a loss that is not finite, and after `patience` epochs without a better
    validation (0 never ends): it asks the records alone, so that a resumed run ends where it would have. The
    `first` epochs, with a frozen backbone, do not count: what follows them may be better.
    """

    def __init__(
        self,
        *,
        steps_per_epoch: int,
        images_per_epoch: int,
        batch_size: int,
        records: Sequence[dict[str, Any]] = (),
        step: int = 0,
        leave_out: Collection[str] = (),
        measure: str = "accuracy",
        patience: int = 0,
        first: int = 0,
    ):
        super().__init__()
        self.steps_per_epoch, self.images_per_epoch = steps_per_epoch, images_per_epoch
        self.batch_size, self.leave_out, self.measure = batch_size, leave_out, measure
        self.records, self.step, self.patience, self.first = list(records), step, patience, first

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
        epochs = len(self.records) - max(self.best["epoch"], self.first)
        return bool(self.patience) and epochs >= self.patience

    def on_epoch_begin(self, epoch, logs=None):
        self._first_step, self._first_image = self.step, self.images_seen
        self._began = time.perf_counter()
        self._clock, self._images, self._seconds = None, 0, 0.0

    def on_train_batch_end(self, batch, logs):
        now, before = time.perf_counter(), self.images_seen
        self.step = self._first_step + batch + 1
        if self._clock is not None:
            self._images += self.images_seen - before
            self._seconds += now - self._clock
        # A step's loss is from before its update; what an epoch's last one has done, the validation shows.
        self._check("loss", logs["loss"])
        self._clock = time.perf_counter()

    def on_epoch_end(self, epoch, logs):
        self.records.append({
            "epoch": epoch + 1,
            "step": self.step,
            "images_seen": self.images_seen,
            **{n: float(np.squeeze(value)) for n, value in logs.items() if n not in self.leave_out},
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "images_per_second": self._speed(),
            "time": time.time(),
        })  # fmt: skip
        self._check("validation loss", logs["val_loss"])
        if self.is_over:
            self.model.stop_training = True

    def _check(self, name: str, value):
        loss = float(np.squeeze(value))
        if not math.isfinite(loss):
            raise not_finite(f"the {name} is {loss}", self.step)

    def _speed(self) -> float:
        """Images a second, without validation and without the first step, unless it is all: it compiles."""
        if self._seconds:
            return self._images / self._seconds
        return (self.images_seen - self._first_image) / (self._clock - self._began)


def not_finite(what: str, step: int) -> UserError:
    return UserError(
        f"{what} at step {step}; a lower learning_rate usually helps (the last checkpoint is from before, "
        "`restart` begins anew)"
    )


class AverageInPlace(keras.callbacks.Callback):
    """Puts the average into the network for validation and for what the callbacks before this one write.

    After the `last` epoch of a stage, counted from 1, it stays. Keras's SwapEMAWeights swaps by adding and
    subtracting, which moves the last bits of the weights.
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
