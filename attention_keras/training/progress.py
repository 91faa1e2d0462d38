"""What a person sees while a model trains: images per second, time left, one line per epoch."""

import time
from collections.abc import Callable

import keras
import numpy as np
from tqdm import tqdm

from attention_keras.runs.durations import duration


class Progress(keras.callbacks.Callback):
    """A progress bar over all images of the run, and a line for each finished epoch.

    Appends one record per epoch to `history` (loss, accuracy, val_loss, val_accuracy, learning_rate,
    images_per_second and what else Keras logs); the speed leaves out validation and the first step,
    in which the graph is compiled.

    Args:
        images_per_epoch: training images in an epoch.
        batch_size: images in a full step.
        epochs: length of the run.
        start_step: steps done before this process.
        steps_per_epoch: optimiser steps in an epoch.
        history: list that receives the records.
        report: called with the line of each epoch.
        show_bar: False for workers other than the chief.
    """

    def __init__(
        self,
        *,
        images_per_epoch: int,
        batch_size: int,
        epochs: int,
        steps_per_epoch: int,
        start_step: int,
        history: list[dict],
        report: Callable[[str], None],
        show_bar: bool,
    ):
        super().__init__()
        self.images_per_epoch = images_per_epoch
        self.batch_size = batch_size
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.step = start_step
        self.history = history
        self.report = report
        self.show_bar = show_bar
        self.images_seen = self._images_after(start_step)
        self._bar = None

    def _images_after(self, step: int) -> int:
        epoch, batch = divmod(step, self.steps_per_epoch)
        return epoch * self.images_per_epoch + min(batch * self.batch_size, self.images_per_epoch)

    def open(self) -> None:
        """Show the bar (on a terminal only; elsewhere the epoch lines tell)."""
        self._bar = tqdm(
            total=self.epochs * self.images_per_epoch,
            initial=self.images_seen,
            unit=" images",
            unit_scale=True,
            dynamic_ncols=True,
            disable=None if self.show_bar else True,
            leave=False,
        )

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def on_epoch_begin(self, epoch, logs=None):
        self._first_step = self.step
        self._clock = None
        self._epoch_images = 0
        self._epoch_seconds = 0.0

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        self.step = self._first_step + batch + 1
        images = self._images_after(self.step) - self.images_seen
        self.images_seen += images
        if self._clock is not None:
            self._epoch_images += images
            self._epoch_seconds += now - self._clock
        self._clock = time.perf_counter()
        self._bar.update(images)
        if logs and not self._bar.disable and self.step % 10 == 0:
            self._bar.set_postfix_str(
                f"loss {logs['loss']:.3f} accuracy {logs['accuracy']:.1%}", refresh=False
            )

    def on_epoch_end(self, epoch, logs=None):
        speed = self._epoch_images / self._epoch_seconds if self._epoch_seconds else 0.0
        record = {
            "epoch": epoch + 1,
            "step": self.step,
            "images_seen": self.images_seen,
            **{name: float(np.squeeze(value)) for name, value in (logs or {}).items()},
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "images_per_second": speed,
            "time": time.time(),
        }
        self.history.append(record)
        left = (self.epochs - epoch - 1) * self.images_per_epoch / speed if speed else 0
        validation = f"  validation {record['val_accuracy']:.1%}" if "val_accuracy" in record else ""
        self._bar.clear()
        self.report(
            f"epoch {epoch + 1:>3}/{self.epochs}  loss {record['loss']:.4f}  "
            f"accuracy {record['accuracy']:.1%}{validation}  {speed:,.0f} images/s  {duration(left)} left"
        )
