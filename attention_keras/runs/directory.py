"""The folder of one run: what lies where in it, who reads it, and who may write."""

import contextlib
import functools
import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attention_keras.errors import UserError
from attention_keras.runs import file_names
from attention_keras.runs.config import RunConfig
from attention_keras.runs.durable import write_json, write_text
from attention_keras.runs.lock import only_writer
from attention_keras.runs.machine_options import MachineOptions

TEMPERATURE = "temperature"
FORMAT = 2
"""Of `config.json`. Version 0.1 wrote a flat record without a number."""


class Run:
    """A run on disk. Its name is its folder's, so that it may be moved and copied.

    | file | content |
    |---|---|
    | `config.json` | id, config, and where it was carried out |
    | `history.jsonl` | a line for each finished epoch |
    | `metrics.json` | the numbers of a finished run |
    | `labels.txt` | class names |
    | `files.json` | of a folder of pictures: relative name of each file -> digest of its content |
    | `model.keras`, `best.keras` | the model after the last and after the best epoch |
    | `features/` | what a frozen backbone makes of the images, while it is frozen and they need much memory |
    | `checkpoints/`, `tensorboard/`, `evaluation/` | |

    Args:
        path: `runs/<name>`, there or not.

    Example:
        >>> Run("runs/demo").checkpoints.as_posix()
        'runs/demo/checkpoints'
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.model = self.path / file_names.MODEL
        self.best_model = self.path / file_names.BEST_MODEL
        self.checkpoints = self.path / file_names.CHECKPOINTS
        self.features = self.path / file_names.FEATURES
        self.tensorboard = self.path / file_names.TENSORBOARD
        self.evaluation = self.path / file_names.EVALUATION
        self._config, self._labels = self.path / file_names.CONFIG, self.path / file_names.LABELS
        self._files = self.path / file_names.FILES
        self._history, self._metrics = self.path / file_names.HISTORY, self.path / file_names.METRICS

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """A run that is there, to read it.

        Raises:
            UserError: there is no readable `config.json` in the folder.
        """
        run = cls(path)
        _ = run.config
        return run

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def exists(self) -> bool:
        """True once a run has begun here."""
        return self._config.is_file()

    @property
    def is_finished(self) -> bool:
        """True once the test set has been read and `metrics.json` written."""
        return self._metrics.is_file()

    @functools.cached_property
    def _record(self) -> dict[str, Any]:
        return _read_json(self._config, self.path)

    @functools.cached_property
    def config(self) -> RunConfig:
        """What the run computes.

        Raises:
            UserError: there is no readable `config.json`.
        """
        record = self._record
        try:
            return RunConfig.from_dict(record["config"] if "format" in record else record)
        except (UserError, KeyError) as error:
            raise UserError(f"{self._config}: {error}") from None

    @property
    def id(self) -> str:
        """What tells this run from any other, also one of the same name; copies share it."""
        if "id" in self._record:
            return str(self._record["id"])
        return hashlib.sha256(json.dumps(self._record, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def data_dir(self) -> str | None:
        """Where the run read its TensorFlow Datasets from, if it was told."""
        machine = self._record.get("machine", self._record)
        found = machine.get("data_dir") if isinstance(machine, dict) else None
        return found if isinstance(found, str) else None

    def metrics(self) -> dict[str, Any]:
        """The numbers of a finished run.

        Raises:
            UserError: `metrics.json` is not there or not readable.
        """
        if not self.is_finished:
            raise UserError(f"{self.path} is not a finished run; train it to its end first")
        return _read_json(self._metrics, self.path)

    @property
    def temperature(self) -> float:
        """What logits are divided by before the softmax; 1 in an unfinished run and in one that has none.

        Raises:
            UserError: it is no number above 0.
        """
        found = self.metrics().get(TEMPERATURE, 1.0) if self.is_finished else 1.0
        if not isinstance(found, int | float) or not found > 0:
            raise UserError(f"{self._metrics}: {TEMPERATURE} must be a number above 0; got {found!r}")
        return float(found)

    def history(self) -> list[dict[str, Any]]:
        """The records of the finished epochs.

        Raises:
            UserError: `history.jsonl` is not readable.
        """
        try:
            lines = self._history.read_text(encoding="utf-8").splitlines() if self._history.exists() else []
            return [json.loads(line) for line in lines]
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"cannot read {self._history}: {error}") from None

    def class_names(self) -> list[str]:
        """The names of the classes, by label.

        Raises:
            UserError: `labels.txt` is not there or not readable.
        """
        try:
            return self._labels.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {self._labels}: {error}") from None

    def files(self) -> dict[str, str] | None:
        """Relative name of each picture -> digest, as they were when the run began; None where none is kept.

        Raises:
            UserError: `files.json` is not readable.
        """
        return _read_json(self._files, self.path) if self._files.is_file() else None

    def may_hold(self, config: RunConfig) -> bool:
        """Whether a run with this config begins or goes on here."""
        try:
            self.refuse_another(config)
        except UserError:
            return False
        return self.exists or not self.path.exists()

    def refuse_another(self, config: RunConfig) -> None:
        """Refuse to go on here with a config that would not continue the run this folder holds.

        Raises:
            UserError: the path is a file, or the run here has another config.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file; choose another name or run_dir")
        changed = self.config.differences(config) if self.exists else {}
        if "dataset" in changed and self._may_have_moved(config):
            del changed["dataset"]
        if changed:
            listing = ", ".join(f"{name} {old!r} -> {new!r}" for name, (old, new) in changed.items())
            raise UserError(
                f"{self.path} holds another run ({listing}); give a new --name, or --restart to discard it"
            )

    def _may_have_moved(self, config: RunConfig) -> bool:
        """Whether an unfinished run's folder of pictures is gone, so that another may hold the same ones.

        `refuse_changed_files` compares the pictures then.
        """
        before = self.config.data
        if self.is_finished or self.files() is None or not (before.is_folder and config.data.is_folder):
            return False
        return not Path(before.dataset.removeprefix("folder:")).exists()

    def refuse_changed_files(self, name: str, files: Mapping[str, str] | None) -> None:
        """Refuse to go on here over other pictures than the run began with.

        Args:
            name: of the dataset.
            files: relative name of each picture -> digest; None where the images are no files.

        Raises:
            UserError: files are new, gone or changed.
        """
        from attention_keras.data.membership import Changes

        before = self.files()
        changes = Changes.between(before, files) if before and files is not None else None
        if changes:
            raise UserError(
                f"{name} has changed since {self.path} began: {changes}; put the files back, or give a new "
                "--name, or --restart to discard the run"
            )

    @contextlib.contextmanager
    def writing(self, config: RunConfig, machine: MachineOptions) -> Iterator[None]:
        """Hold the folder alone and write in it. A dead process's hold ends with the process.

        Args:
            config: what the run computes; it goes into `config.json`.
            machine: where it is carried out; `restart` empties the folder first.

        Raises:
            UserError: another process is training here, or the folder cannot be written.
        """
        with only_writer(self.path):
            if machine.restart:
                self._clear()
            record = {
                "format": FORMAT,
                "id": self.id if self.exists else uuid.uuid4().hex,
                "config": config.to_dict(),
                "machine": {"data_dir": machine.data_dir, "strategy": machine.strategy, "jit": machine.jit},
            }
            write_json(self._config, record)
            self._forget()
            yield

    def _clear(self) -> None:
        for entry in self.path.iterdir():
            if entry.name == file_names.LOCK:
                continue
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self._forget()

    def _forget(self) -> None:
        for name in ("_record", "config"):
            self.__dict__.pop(name, None)

    def write_class_names(self, names: Sequence[str]) -> None:
        """`labels.txt`, a name a line."""
        write_text(self._labels, "".join(f"{name}\n" for name in names))

    def write_files(self, files: Mapping[str, str]) -> None:
        """`files.json`."""
        write_json(self._files, dict(files))

    def write_history(self, epochs: Sequence[dict[str, Any]]) -> None:
        """`history.jsonl`, one line for each finished epoch."""
        write_text(self._history, "".join(json.dumps(epoch, allow_nan=False) + "\n" for epoch in epochs))

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """`metrics.json`, which finishes the run."""
        write_json(self._metrics, metrics)


def _read_json(file: Path, folder: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UserError: the file is not there, or holds none.
    """
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} is not a run: it has no {file.name}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {file}: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"cannot read {file}: it holds no JSON object")
    return value
