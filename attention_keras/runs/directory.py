"""The folder of one run: who may write in it, and whether a new command continues what it holds."""

import contextlib
import dataclasses
import fcntl
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attention_keras.runs.durable import write_whole
from attention_keras.errors import UserError
from attention_keras.runs.options import CONFIG_FILE, TrainConfig


class RunDirectory:
    """Paths and records of `runs/<name>/`.

    Example:
        >>> run = RunDirectory(TrainConfig(name="demo").resolved())
        >>> str(run.path)
        'runs/demo'
    """

    def __init__(self, config: TrainConfig):
        """Args: config: a resolved config; its `run_dir` and `name` say where."""
        self.path = Path(config.run_dir) / config.name
        self.model = self.path / "model.keras"
        self.best_model = self.path / "best.keras"
        self.labels = self.path / "labels.txt"
        self.history = self.path / "history.jsonl"
        self.metrics = self.path / "metrics.json"
        self.checkpoints = self.path / "checkpoints"
        self.tensorboard = self.path / "tensorboard"

    @property
    def is_finished(self) -> bool:
        """True once the test set has been read and `metrics.json` written."""
        return self.metrics.is_file()

    def read_metrics(self) -> dict[str, Any]:
        """The numbers of a finished run.

        Raises:
            UserError: `metrics.json` is not readable.
        """
        try:
            return json.loads(self.metrics.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {self.metrics}: {error}; --restart trains the run anew") from None

    def reconcile(self, config: TrainConfig) -> TrainConfig:
        """The config to train with, given what an earlier command left here.

        `--precision auto` takes the precision the run began with, so that a resumed run computes
        the same as an uninterrupted one.

        Raises:
            UserError: the path is not a folder, or the run here has another config.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file; choose another --name or --run-dir")
        if config.restart or not (self.path / CONFIG_FILE).exists():
            return config
        earlier = TrainConfig.load(self.path)
        if config.precision == "auto":
            config = dataclasses.replace(config, precision=earlier.precision)
        changed = earlier.differences(config)
        if changed:
            listing = ", ".join(f"{name} {old!r} -> {new!r}" for name, (old, new) in changed.items())
            raise UserError(
                f"{self.path} holds another run ({listing}); give a new --name, or --restart to discard it"
            )
        return config

    @contextlib.contextmanager
    def opened(self, config: TrainConfig) -> Iterator[None]:
        """Hold the folder alone while writing in it; a dead process's hold ends with the process.

        Raises:
            UserError: another process is training here, or the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / ".lock").open("w")
        except OSError as error:
            raise UserError(
                f"cannot write to {self.path}: {error.strerror}; choose another --run-dir"
            ) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"{self.path} is being trained by another process; give a new --name"
                ) from None
            except OSError as error:
                raise UserError(
                    f"cannot lock {self.path}: {error.strerror}; choose a --run-dir on another file system"
                ) from None
            if config.restart:
                self._clear()
            write_json(self.path / CONFIG_FILE, config.to_dict())
            yield

    def _clear(self) -> None:
        for entry in self.path.iterdir():
            if entry.name == ".lock":
                continue
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def write_history(self, epochs: list[dict[str, Any]]) -> None:
        """Replace `history.jsonl` by one line for each finished epoch."""
        write_text(self.history, "".join(json.dumps(epoch) + "\n" for epoch in epochs))


def write_text(path: Path, text: str) -> None:
    """UTF-8, whole or not there.

    Raises:
        UserError: the disk is full or not writable.
    """
    try:
        write_whole(path, text.encode())
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot write {path}: {reason}; make room and run the same command again") from None


def write_json(path: Path, value: Any) -> None:
    """`write_text` of indented JSON."""
    write_text(path, json.dumps(value, indent=2) + "\n")
