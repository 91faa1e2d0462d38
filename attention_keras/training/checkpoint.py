"""Exact resume: the state of a training by name, in files that are complete or invisible.

A checkpoint is one file named `<step>.<first 32 hex digits of its sha256>.safetensors`; reading it runs no
code. Keras's BackupAndRestore repeats the interrupted epoch and forgets dropout's random state.
"""

import contextlib
import hashlib
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from attention_keras.errors import UserError
from attention_keras.models.outputs import LOGITS
from attention_keras.runs.durable import flush, write_whole
from attention_keras.training.callbacks import History, not_finite
from attention_keras.training.device import is_chief, spans_workers

SUFFIX = ".safetensors"
KEPT = 2
MODEL = "model/"  # what the names of the network's own variables begin with
TOLD_ONCE_SECONDS = 1.0  # signals are one: `timeout` and service managers tell a process, and then its group


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on: the optimiser steps done, arrays by name, and a small record."""

    step: int
    arrays: dict[str, np.ndarray]
    record: dict[str, Any]

    @property
    def of_model(self) -> dict[str, np.ndarray]:
        return {name: array for name, array in self.arrays.items() if name.startswith(MODEL)}


def save_checkpoint(directory: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, then remove all but the newest two; on a full disk the earlier ones stay."""
    tensors = {name: np.asarray(array, order="C") for name, array in checkpoint.arrays.items()}
    content = save(tensors, {"step": str(checkpoint.step), "record": json.dumps(checkpoint.record)})
    digest = hashlib.sha256(content).hexdigest()[:32]
    path = directory / f"{checkpoint.step:09d}.{digest}{SUFFIX}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for abandoned in directory.glob(".*.tmp"):
            abandoned.unlink()
        write_whole(path, content)
        flush(directory)
    except (OSError, UserError) as error:
        raise UserError(f"{error}; earlier checkpoints are intact") from None
    files = checkpoint_files(directory)
    # One from a later step is damaged, or the run would have gone on from there.
    kept = [file for file in files if int(file.name[:9]) <= checkpoint.step][:KEPT]
    for old in {*files} - {*kept}:
        old.unlink()
    return path


def checkpoint_files(directory: Path) -> list[Path]:
    """Checkpoint files, newest first; unfinished ones have another name and are not among them."""
    files = directory.glob(f"[0-9]*{SUFFIX}")
    return sorted(files, key=lambda file: (file.name[:9], file.stat().st_mtime_ns), reverse=True)


def load_newest(directory: Path, report: Callable[[str], None] = print) -> Checkpoint | None:
    """The newest checkpoint that is whole; damaged ones are reported and passed over."""
    for path in checkpoint_files(directory):
        try:
            if path.name.split(".")[1] != hashlib.sha256(path.read_bytes()).hexdigest()[:32]:
                raise ValueError("it is damaged")
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata()
                arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
                return Checkpoint(int(metadata["step"]), arrays, json.loads(metadata["record"]))
        except (OSError, SafetensorError, KeyError, IndexError, TypeError, ValueError) as error:
            report(f"checkpoint {path} cannot be read: {error}; trying the one before it")
    return None


def state_of(model: keras.Model, trained: keras.Model | None = None) -> dict[str, Any]:
    """Variables by `model/` and their paths; with a part that is trained, of optimiser and metrics too."""
    named = [(MODEL + variable.path, variable) for variable in model.variables]
    if trained is not None:
        named += [(f"optimizer/{variable.path}", variable) for variable in trained.optimizer.variables]
        named += [(f"metrics/{variable.path}", variable) for variable in trained.metrics_variables]
    state: dict[str, Any] = {}
    times: Counter[str] = Counter()
    for name, variable in named:
        times[name] += 1
        state[f"{name}:{times[name]}" if times[name] > 1 else name] = variable
    return state


def assign(variables: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    same_names = variables.keys() == arrays.keys()
    if not same_names or any(tuple(v.shape) != arrays[name].shape for name, v in variables.items()):
        raise UserError("the checkpoint belongs to another model; give a new `name`, or `restart`")
    for name, variable in variables.items():
        variable.assign(arrays[name])


def build_metrics(model: keras.Model) -> None:
    """Keras makes the variables of compiled metrics at the first update; a restored run needs them before."""
    zeros = keras.ops.zeros((1, model.output[LOGITS].shape[-1]))
    keras.Model.compute_metrics(model, None, zeros, zeros)
    model.reset_metrics()


class Interrupted(Exception):
    """Training stopped on a signal; `exit_code` is 128 + the signal's number, as in a shell."""

    def __init__(self, signal_number: int):
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.exit_code = 128 + signal_number


class Checkpointing(keras.callbacks.Callback):
    """Saves the state of `network` every so many steps, at each epoch's end, and on SIGTERM or Ctrl-C.

    Must be the last callback, so that the records of the others are complete. Several workers could only
    save together, so none of them saves on a signal.
    """

    def __init__(self, network, directory: Path, history: History, every: int, resumed=None, strategy=None):
        super().__init__()
        self.network, self.directory, self.history, self.every = network, directory, history, every
        self.resumed, self.stage_began, self._saved_step = resumed, 0, history.step
        self.writes, self.alone = is_chief(strategy), not spans_workers(strategy)
        self._signal_number: int | None = None
        self._told_at = 0.0
        self._earlier_handlers: dict[int, Any] = {}
        if resumed:
            assign(state_of(network), resumed.of_model)

    def on_epoch_begin(self, epoch, logs=None):
        self._saved_step = self.history.step
        # After fit() has reset the metrics; an epoch taken up in the middle needs its running sums back.
        if self.resumed and self.history.step == self.resumed.step > self.stage_began:
            build_metrics(self.model)
            assign(state_of(self.network, self.model), self.resumed.arrays)
            if self.history.is_between_epochs:
                self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        if self.history.is_between_epochs:
            return  # the epoch's end follows and saves
        is_due = self.history.step // self.every > self._saved_step // self.every
        if is_due or (self._signal_number and self.alone):
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
                print("\nstopping at the end of this step; once more stops at once", file=sys.stderr)
        elif time.monotonic() - self._told_at > TOLD_ONCE_SECONDS:
            signal.signal(number, self._earlier_handlers[number] or signal.SIG_DFL)
            signal.raise_signal(number)

    def _leave_if_asked(self):
        if self._signal_number:
            raise Interrupted(self._signal_number)

    def _save(self):
        self._saved_step = self.history.step
        # Reading a metric sums it over the workers, so all of them read, and then the chief writes.
        state = state_of(self.network, self.model)
        arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in state.items()}
        record = {"records": self.history.records, "seconds": self.history.seconds}
        checkpoint = Checkpoint(self.history.step, arrays, record)
        if not all(np.isfinite(array).all() for array in checkpoint.of_model.values()):
            raise not_finite("a weight is not finite", self.history.step)
        if self.writes:
            save_checkpoint(self.directory, checkpoint)
