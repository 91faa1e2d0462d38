"""Exact resume: when a run's state is saved, and how it is put back.

Keras's BackupAndRestore repeats the interrupted epoch and forgets dropout's random state. Here the
state is every variable of the model (seed generators included), of the optimiser and of the running
metrics, plus the number of steps done; the order of the data is a function of that number.
"""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from attention_keras.training.callbacks import History, not_finite
from attention_keras.training.checkpoint import (
    Checkpoint,
    assign,
    build_metrics,
    model_state,
    of_model,
    save_checkpoint,
    training_state,
)

TOLD_ONCE_SECONDS = 1.0
"""Signals within this time are one: `timeout` and service managers tell a process, and then its group."""


class Interrupted(Exception):
    """Training stopped on a signal; `exit_code` is 128 + the signal's number, as in a shell."""

    def __init__(self, signal_number: int):
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.exit_code = 128 + signal_number


class Checkpointing(keras.callbacks.Callback):
    """Saves the `whole` network's state `every` so many steps, at each epoch's end, and on SIGTERM or Ctrl-C.

    Must be the last callback, so that the records of the others are complete. Workers other than the chief
    restore but never write. Several could only save together, so none of them saves on a signal.
    """

    def __init__(
        self,
        whole: keras.Model,
        directory: Path,
        history: History,
        every: int,
        resumed: Checkpoint | None = None,
        writes: bool = True,
        saves_on_signal: bool = True,
    ):
        super().__init__()
        self.whole, self.directory, self.history, self.every = whole, directory, history, every
        self.resumed, self.writes, self.saves_on_signal = resumed, writes, saves_on_signal
        self._earlier_seconds = resumed.record.get("seconds", 0.0) if resumed else 0.0
        self._began = time.monotonic()
        self._saved_step = history.step
        self._signal_number: int | None = None
        self._told_at = 0.0
        self._earlier_handlers: dict[int, Any] = {}

    @property
    def seconds(self) -> float:
        """Time spent on the run, by this process and by those before it up to their last checkpoint."""
        return self._earlier_seconds + time.monotonic() - self._began

    def restore_model(self) -> None:
        """Put the network back as the resumed checkpoint has it, also where no stage is left to train."""
        if self.resumed:
            assign(model_state(self.whole), of_model(self.resumed.arrays))

    def restore(self, trained: keras.Model, first_step: int) -> None:
        """Put all of the resumed checkpoint back, unless it ends the stage before, with another optimiser."""
        if self.resumed and self.resumed.step > first_step:
            build_metrics(trained)
            assign(training_state(self.whole, trained), self.resumed.arrays)

    def on_epoch_begin(self, epoch, logs=None):
        self._saved_step = self.history.step
        # fit() has just reset the metrics; an epoch taken up in the middle needs its running sums back.
        if self.resumed and not self.history.is_between_epochs:
            assign(training_state(self.whole, self.model), self.resumed.arrays)

    def on_train_batch_end(self, batch, logs=None):
        if self.history.is_between_epochs:
            return  # the epoch's end follows and saves
        if self._is_due() or (self._signal_number and self.saves_on_signal):
            self._save()
        self._leave_if_asked()

    def on_epoch_end(self, epoch, logs=None):
        self._save()
        self._leave_if_asked()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, SIGTERM and Ctrl-C become a save at the end of the step; a later one acts at once."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        self._earlier_handlers = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in self._earlier_handlers.items():
                signal.signal(number, handler)

    def _on_signal(self, number, frame):
        if self._signal_number is None:
            self._signal_number, self._told_at = number, time.monotonic()
            if self.writes:
                said = "\nstopping at the end of this step; once more stops at once"
                print(said, file=sys.stderr, flush=True)
        elif time.monotonic() - self._told_at > TOLD_ONCE_SECONDS:
            signal.signal(number, self._earlier_handlers[number] or signal.SIG_DFL)
            signal.raise_signal(number)

    def _is_due(self) -> bool:
        return self.history.step // self.every > self._saved_step // self.every

    def _leave_if_asked(self):
        if self._signal_number:
            raise Interrupted(self._signal_number)

    def _save(self):
        self._saved_step = self.history.step
        # Reading a metric sums it over the workers, so all of them read, and then the chief writes.
        state = training_state(self.whole, self.model)
        arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in state.items()}
        if not all(np.isfinite(array).all() for array in of_model(arrays).values()):
            raise not_finite("a weight is not finite", self.history.step)
        if self.writes:
            record = {"history": self.history.records, "seconds": self.seconds}
            save_checkpoint(self.directory, Checkpoint(self.history.step, arrays, record))
