"""The folder of one run: what lies where in it, who reads it, and who may write."""

import contextlib
import functools
import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attention_keras.data.registry import FileRecord, changes_between
from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig
from attention_keras.runs.durable import hold_alone, write_json, write_text

LABELS = "labels.txt"
MODEL = "model.keras"
EVALUATION = "evaluation"
TEMPERATURE = "temperature"
LOCK = ".lock"


class Run:
    """A run on disk. Its name is its folder's, so that it may be moved and copied.

    | file | content |
    |---|---|
    | `config.json` | id and config |
    | `history.jsonl` | a line for each finished epoch |
    | `metrics.json` | the numbers of a finished run |
    | `labels.txt` | class names |
    | `files.json` | of a folder of images: path of each file -> digest of its content, class and role |
    | `model.keras`, `best.keras` | the model after the last and after the best epoch |
    | `features/` | what a frozen backbone makes of the images |
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.model, self.best_model = self.path / MODEL, self.path / "best.keras"
        self.checkpoints, self.features = self.path / "checkpoints", self.path / "features"
        self.tensorboard, self.evaluation = self.path / "tensorboard", self.path / EVALUATION
        self._config, self._labels = self.path / "config.json", self.path / LABELS
        self._files, self._history = self.path / "files.json", self.path / "history.jsonl"
        self._metrics = self.path / "metrics.json"

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """A run that is there, to read it; a folder without a readable `config.json` raises UserError."""
        run = cls(path)
        _ = run.config
        return run

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def exists(self) -> bool:
        return self._config.is_file()

    @property
    def is_finished(self) -> bool:
        """True once the test set has been read and `metrics.json` written."""
        return self._metrics.is_file()

    @functools.cached_property
    def _record(self) -> tuple[str, RunConfig]:
        def parse(text: str) -> tuple[str, RunConfig]:
            record = json.loads(text)
            if not isinstance(record["id"], str):
                raise TypeError("it names no run")
            return record["id"], RunConfig.from_dict(record["config"])

        if not self.exists:
            raise UserError(f"{self.path} is not a run: it has no {self._config.name}")
        return _parsed(self._config, parse)

    @property
    def id(self) -> str:
        """What tells this run from any other, also one of the same name; copies share it."""
        return self._record[0]

    @property
    def config(self) -> RunConfig:
        return self._record[1]

    def metrics(self) -> dict[str, Any]:
        """The numbers of a finished run; another one raises UserError."""
        if not self.is_finished:
            raise UserError(f"{self.path} is not a finished run; train it to its end first")
        return _parsed(self._metrics, json.loads)

    @property
    def temperature(self) -> float | list[float]:
        """What logits are divided by, of tags each; 1 in an unfinished run and in one that has none."""
        found = self.metrics().get(TEMPERATURE, 1.0) if self.is_finished else 1.0
        if not all(value > 0 for value in (found if isinstance(found, list) else [found])):
            raise UserError(f"{self._metrics}: {TEMPERATURE} must be a number above 0; got {found!r}")
        return found

    def class_names(self) -> list[str]:
        return _parsed(self._labels, lambda text: text.removesuffix("\n").split("\n"))

    def files(self) -> dict[str, FileRecord] | None:
        """Path of each image -> what it was when the run began; None where none is kept."""
        if not self._files.is_file():
            return None
        return _parsed(self._files, lambda text: {k: FileRecord(*v) for k, v in json.loads(text).items()})

    def changes(self, config: RunConfig) -> dict[str, tuple[Any, Any]]:
        """How a config differs from that of the run here; where it does, it would not continue it.

        Where the folder of an unfinished run is gone, `refuse_changed_files` compares the images of another.
        """
        if not self.exists:
            return {}
        changed, folder = self.config.differences(config), Path(self.config.dataset.partition(":")[2])
        of_files = "dataset" in changed and self.config.has_files and config.has_files
        if of_files and not folder.exists() and not self.is_finished and self.files() is not None:
            del changed["dataset"]
        return changed

    def refuse_another(self, config: RunConfig) -> None:
        """Raise UserError where a config would not continue the run that this folder holds."""
        if changed := self.changes(config):
            listing = ", ".join(f"{name} {old!r} -> {new!r}" for name, (old, new) in changed.items())
            raise UserError(
                f"{self.path} holds another run ({listing}); give a new `name`, or `restart` to discard it"
            )

    def refuse_changed_files(self, name: str, files: Mapping[str, FileRecord] | None) -> None:
        """Raise UserError where the images of the dataset `name` are not those the run began with."""
        before = self.files()
        if before and files is not None and (changes := changes_between(before, files)):
            raise UserError(
                f"{name} has changed since {self.path} began: {changes}; put the files back, or give a new "
                "`name`, or `restart` to discard the run"
            )

    @contextlib.contextmanager
    def writing(self, config: RunConfig) -> Iterator[None]:
        """Hold the folder alone and write in it; `restart` empties it first. A dead process holds nothing."""
        busy = f"{self.path} is being trained by another process; give a new `name`"
        with hold_alone(self.path / LOCK, busy, instead="another run_dir"):
            name = self.id if self.exists and not config.restart else uuid.uuid4().hex
            for entry in self.path.iterdir() if config.restart else ():
                if entry.name != LOCK:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            write_json(self._config, {"id": name, "config": config.to_dict()})
            self.__dict__.pop("_record", None)
            yield

    def write_dataset(self, class_names: Sequence[str], files: Mapping[str, FileRecord] | None) -> None:
        """`labels.txt`, a name a line, and `files.json` where the images are files."""
        write_text(self._labels, "".join(f"{name}\n" for name in class_names))
        if files is not None:
            write_json(self._files, dict(files))

    def write_history(self, epochs: Sequence[dict[str, Any]]) -> None:
        write_text(self._history, "".join(json.dumps(epoch, allow_nan=False) + "\n" for epoch in epochs))

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """`metrics.json`, which finishes the run."""
        write_json(self._metrics, metrics)


def _parsed(file: Path, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise UserError(f"cannot read {file}: {error}") from None
