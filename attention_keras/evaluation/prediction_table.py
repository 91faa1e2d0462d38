"""The table of `predict`: a row an image. No stop loses a row, and no image gets a second one."""

import contextlib
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from attention_keras.errors import UserError
from attention_keras.runs.durable import hold_alone, write_json, writing_to

# A file's name may be any bytes.
TEXT: Any = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}

Row = dict[str, Any]
"""`path`, `top` (names and probabilities, the likeliest first), `drawing` and `reason`."""


@contextlib.contextmanager
def open_table(path: Path, settings: dict[str, Any]) -> Iterator["Table"]:
    """The table, for this process alone. `settings` are of the command.

    Raises:
        UserError: the folder has answers to another command, or another process is writing this table.
    """
    busy = f"{path} is being written by another process; choose another folder"
    with hold_alone(path.with_name(f".{path.name}.lock"), busy):
        yield Table(path, settings)


class Table:
    """A `.csv` or `.jsonl` file as an earlier process left it; further rows follow.

    The file beside it has the `settings` of the command. `answered` says of each path that has a row whether
    the image could be read.
    """

    def __init__(self, path: Path, settings: dict[str, Any]):
        self.path, self.answered = path, dict[str, bool]()
        self._json, self._settings = path.suffix == ".jsonl", settings
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
        content = self.path.read_bytes()
        end = content.rfind(b"\n") + 1
        # A line break inside a CSV field, as a path can have, stands after an odd number of quotes.
        while not self._json and content.count(b'"', 0, end) % 2:
            end = content.rfind(b"\n", 0, end - 1) + 1
        if end < len(content):
            with self.path.open("r+b") as file:
                file.truncate(end)

    def _read(self) -> None:
        with self.path.open(**TEXT) as file:
            try:
                rows = map(json.loads, file) if self._json else csv.DictReader(file)
                self.answered = {row["path"]: not row["reason"] for row in rows}
            except (KeyError, TypeError, ValueError, csv.Error):
                raise UserError(
                    f"{self.path} is not as predict wrote it; choose another folder, or delete it"
                ) from None

    @contextlib.contextmanager
    def rows(self, top: int) -> Iterator[Callable[[Row], None]]:
        """Inside, each row that is given is in the file at once; a CSV file has columns for `top` classes."""
        if not self._file.exists():
            write_json(self._file, self._settings)
        with self.path.open("a", buffering=1, **TEXT) as file:
            write = _json_line(file) if self._json else _csv_row(file, top, new=not file.tell())

            def add(row: Row) -> None:
                write(row)
                self.answered[row["path"]] = row["reason"] is None

            yield add


def _csv_row(file: TextIO, top: int, new: bool) -> Callable[[Row], None]:
    writer = csv.writer(file, lineterminator="\n")
    if new:
        others = [f"{head}_{number}" for number in range(2, top + 1) for head in ("class", "probability")]
        writer.writerow(["path", "class", "probability", *others, "drawing", "reason"])

    def write(row: Row) -> None:
        cells = [cell for name, probability in row["top"] for cell in (name, f"{probability:.6f}")]
        cells += [""] * (2 * top - len(cells))
        writer.writerow([row["path"], *cells, row["drawing"] or "", row["reason"] or ""])

    return write


def _json_line(file: TextIO) -> Callable[[Row], None]:
    def write(row: Row) -> None:
        classes = [{"class": name, "probability": probability} for name, probability in row["top"]]
        best = classes[0] if classes else {"class": None, "probability": None}
        line = {"path": row["path"], **best, "top": classes}
        line |= {"drawing": row["drawing"], "reason": row["reason"]}
        file.write(json.dumps(line, ensure_ascii=False) + "\n")

    return write
