"""The record of `predict`: a line for each image. No stop loses one, and no image gets a second one."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from attention_keras.errors import UserError
from attention_keras.runs.durable import hold_alone, write_json, write_whole, writing_to

# A file's name may be any bytes.
TEXT: Any = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}

Row = dict[str, Any]
"""`path`, `class` and `probability`, `top` with more of them, `drawing`, `reason`, and `maps` if wanted. Of a
model of tags also `tags`; of one of numbers the number in place of class and probability."""


@contextlib.contextmanager
def open_record(path: Path, settings: dict[str, Any]) -> Iterator["Record"]:
    """The record, for this process alone. `settings` are of the command.

    Raises:
        UserError: the folder has answers to another command, or another process is writing them.
    """
    busy = f"{path} is being written by another process; choose another folder"
    with hold_alone(path.with_name(f".{path.name}.lock"), busy):
        yield Record(path, settings)


class Record:
    """A `.jsonl` file as an earlier process left it; further rows follow.

    The file beside it has the `settings` of the command. `answered` says of each path that has a row whether
    the image could be read.
    """

    def __init__(self, path: Path, settings: dict[str, Any]):
        self.path, self.answered, self._settings = path, dict[str, bool](), settings
        self._file = path.with_name(f"{path.stem}.settings.json")
        with writing_to(path.parent):
            if path.exists() or self._file.exists():
                self._refuse_another_command()
            if path.exists():
                self._drop_half_a_row()
                self._read()

    def _refuse_another_command(self) -> None:
        before = json.loads(self._file.read_text(encoding="utf-8")) if self._file.exists() else None
        if before != self._settings:
            raise UserError(
                f"{self.path.parent} has the answers to another command (see {self._file.name}); choose "
                "another folder, or delete it"
            )

    def _drop_half_a_row(self) -> None:
        """The last one, which a kill or a full disk has cut."""
        with self.path.open("r+b") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)

    def _read(self) -> None:
        try:
            self.answered = {row["path"]: row["reason"] is None for row in read_rows(self.path)}
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{self.path} is not as predict wrote it; choose another folder, or delete it"
            ) from None

    @contextlib.contextmanager
    def rows(self) -> Iterator[Callable[[Row], None]]:
        """Inside, each row that is given is in the file at once."""
        if not self._file.exists():
            write_json(self._file, self._settings)
        with self.path.open("a", buffering=1, **TEXT) as file:

            def add(row: Row) -> None:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                self.answered[row["path"]] = row["reason"] is None

            yield add


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a record."""
    with path.open(**TEXT) as file:
        yield from map(json.loads, file)


def write_table(record: Path, form: Literal["csv", "parquet"], top: int) -> Path:
    """The rows with columns for `top` classes, beside the record; the path."""
    import pandas

    path = record.with_suffix(f".{form}")
    frame = pandas.DataFrame([_flat(row, top) for row in read_rows(record)])
    if form == "csv":
        content = frame.to_csv(index=False, float_format="%.6f").encode(errors="surrogateescape")
    else:  # its names are Unicode
        frame["path"] = [os.fsencode(name).decode(errors="replace") for name in frame["path"]]
        content = frame.to_parquet(index=False)
    with writing_to(path.parent):
        write_whole(path, content)
    return path


def _flat(row: Row, top: int) -> Row:
    if "class" not in row:  # a number
        return {key: value for key, value in row.items() if key != "top"}
    classes = [*row["top"], *[{"class": None, "probability": None}] * (top - len(row["top"]))]
    cells = {"path": row["path"]} | ({"tags": ";".join(row["tags"])} if "tags" in row else {})
    for number, best in enumerate(classes, start=1):
        ending = f"_{number}" * (number > 1)
        cells |= {f"class{ending}": best["class"], f"probability{ending}": best["probability"]}
    return cells | {key: value for key, value in row.items() if key in ("drawing", "maps", "reason")}
