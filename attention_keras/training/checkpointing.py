"""Exact resume: what a run's state is, when it is saved, and how it is put back.

Keras's BackupAndRestore repeats the interrupted epoch and forgets dropout's random state. Here the
state is every variable of the model (seed generators included), of the optimiser and of the running
metrics, plus the number of steps done; the order of the data is a function of that number.
"""

import signal
import time
from pathlib import Path

import keras
import numpy as np

from attention_keras.runs.durations import Interval
from attention_keras.training.checkpoint import Checkpoint, assign, save_checkpoint

SIGNAL_EXIT_BASE = 128


class Interrupted(Exception):
    """Training stopped on a signal; `exit_code` is 128 + the signal's number, as in a shell."""

    def __init__(self, signal_number: int):
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.exit_code = SIGNAL_EXIT_BASE + signal_number


class Checkpointing(keras.callbacks.Callback):
    """Saves the run at intervals, at each epoch's end, and on SIGTERM or Ctrl-C.

    Must be the last callback, so that the records of the others are complete when it saves.

    Args:
        directory: where checkpoint files go.
        steps_per_epoch: optimiser steps in an epoch.
        every: when to save, in steps or in time.
        keep: number of checkpoints kept.
        history: the list of finished epochs' records, shared with the callback that appends to it.
        resumed: the checkpoint to go on from.
        writes: False for workers other than the chief, which restore but never save.
        saves_on_signal: False with several workers, which could only save together: the one that is told
            to stop leaves at once, and all of them continue from the last checkpoint.
    """

    def __init__(
        self,
        directory: Path,
        steps_per_epoch: int,
        every: Interval,
        keep: int,
        history: list,
        resumed: Checkpoint | None = None,
        writes: bool = True,
        saves_on_signal: bool = True,
    ):
        super().__init__()
        self.directory = directory
        self.steps_per_epoch = steps_per_epoch
        self.every = every
        self.keep = keep
        self.history = history
        self.resumed = resumed
        self.writes = writes
        self.step = resumed.step if resumed else 0
        self._earlier_seconds = resumed.record.get("seconds", 0.0) if resumed else 0.0
        self._began = self._saved_at = time.monotonic()
        self.saves_on_signal = saves_on_signal
        self._signal_number = None
        self._earlier_handlers = {}

    @property
    def seconds(self) -> float:
        """Time spent on the run, by this process and by those before it up to their last checkpoint."""
        return self._earlier_seconds + time.monotonic() - self._began

    def restore(self) -> None:
        """Put the resumed checkpoint's model and optimiser state back (the metrics follow in the epoch)."""
        if not self.resumed:
            return
        _build_metrics(self.model)
        variables = [*self.model.variables, *self.model.optimizer.variables]
        assign(variables, self.resumed.arrays[: len(variables)])
        self._metrics_state = self.resumed.arrays[len(variables) :]

    def on_epoch_begin(self, epoch, logs=None):
        self._first_step = self._saved_step = self.step
        # fit() has just reset the metrics; an epoch taken up in the middle needs its running sums back.
        if self.step % self.steps_per_epoch:
            assign(self.model.metrics_variables, self._metrics_state)

    def on_train_batch_end(self, batch, logs=None):
        self.step = self._first_step + batch + 1
        if self.step % self.steps_per_epoch == 0:
            return  # the epoch's end follows and saves
        if self._is_due() or (self._signal_number and self.saves_on_signal):
            self._save()
        self._leave_if_asked()

    def on_epoch_end(self, epoch, logs=None):
        self._save()
        self._leave_if_asked()

    def listen(self) -> None:
        """Turn SIGTERM and Ctrl-C into a save at the end of the step; a second one acts at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._earlier_handlers[number] = signal.signal(number, self._on_signal)

    def stop_listening(self) -> None:
        """Give the signals back to their earlier handlers."""
        for number, handler in self._earlier_handlers.items():
            signal.signal(number, handler)
        self._earlier_handlers = {}

    def _on_signal(self, number, frame):
        self._signal_number = number
        signal.signal(number, self._earlier_handlers.get(number) or signal.SIG_DFL)

    def _is_due(self) -> bool:
        if self.every.steps:
            return self.step // self.every.steps > self._saved_step // self.every.steps
        return time.monotonic() - self._saved_at >= self.every.seconds

    def _leave_if_asked(self):
        if self._signal_number:
            raise Interrupted(self._signal_number)

    def _save(self):
        self._saved_step, self._saved_at = self.step, time.monotonic()
        variables = [*self.model.variables, *self.model.optimizer.variables, *self.model.metrics_variables]
        # Reading a metric sums it over the workers, so all of them read, and then the chief writes.
        arrays = [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in variables]
        if self.writes:
            record = {"history": self.history, "seconds": self.seconds}
            save_checkpoint(self.directory, Checkpoint(self.step, arrays, record), self.keep)


def _build_metrics(model: keras.Model) -> None:
    """Keras makes the variables of compiled metrics at the first update; a restored run needs them before."""
    predictions = np.zeros((1, *model.output_shape[1:]), "float32")
    model.compute_metrics(None, predictions[:, 0] if predictions.ndim == 3 else predictions, predictions)
    model.reset_metrics()
