"""Where a run is, and what each finished epoch was."""

import time
from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np


class History(keras.callbacks.Callback):
    """Counts steps and images, and keeps a record of each finished epoch. Must be the first callback.

    A record holds `epoch`, `step`, `images_seen`, what Keras logs (`loss`, `accuracy`, `val_loss`,
    `val_accuracy`; where attention is trained, `off_object` and `val_off_object`), `learning_rate`,
    `images_per_second` and `time`. The speed leaves out validation and the first step, in which the graph is
    compiled. A resumed run brings the `records` and the `step` that earlier processes came to; `leave_out`
    names what Keras logs without having measured it.
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
    ):
        super().__init__()
        self.steps_per_epoch, self.images_per_epoch = steps_per_epoch, images_per_epoch
        self.batch_size, self.leave_out = batch_size, leave_out
        self.records, self.step = list(records), step

    @property
    def images_seen(self) -> int:
        """Images of all steps so far."""
        epoch, batch = divmod(self.step, self.steps_per_epoch)
        return epoch * self.images_per_epoch + min(batch * self.batch_size, self.images_per_epoch)

    @property
    def is_between_epochs(self) -> bool:
        """True where the last step ended an epoch."""
        return self.step % self.steps_per_epoch == 0

    @property
    def best_validation_accuracy(self) -> float:
        """Of all finished epochs; -1 before the first."""
        return max((record["val_accuracy"] for record in self.records), default=-1.0)

    @property
    def best_epoch(self) -> int:
        """The first epoch with that accuracy, counted from 1; 0 before the first."""
        best = max(self.records, key=lambda record: record["val_accuracy"], default={"epoch": 0})
        return best["epoch"]

    def on_epoch_begin(self, epoch, logs=None):
        self._first_step, self._first_image = self.step, self.images_seen
        self._began = time.perf_counter()
        self._clock = None
        self._images = 0
        self._seconds = 0.0

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        before = self.images_seen
        self.step = self._first_step + batch + 1
        if self._clock is not None:
            self._images += self.images_seen - before
            self._seconds += now - self._clock
        self._clock = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.records.append({
            "epoch": epoch + 1,
            "step": self.step,
            "images_seen": self.images_seen,
            **{n: float(np.squeeze(value)) for n, value in (logs or {}).items() if n not in self.leave_out},
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "images_per_second": self._speed(),
            "time": time.time(),
        })  # fmt: skip

    def _speed(self) -> float:
        """Images a second; where one step was all, with the time that its graph took."""
        if self._seconds:
            return self._images / self._seconds
        return (self.images_seen - self._first_image) / (self._clock - self._began)
