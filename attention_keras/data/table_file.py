"""Tables of image files as people have them: CSV and TSV with a line of column names, or JSON lines.

Each row has the path of an image, relative to the table, and its label. It may have a split, a group, and
where the object is: the path of a mask, or a box in pixels of the upright image.
"""

import csv
import json
import math
import os
from collections.abc import Iterator, Sequence
from functools import cache
from operator import itemgetter
from pathlib import Path
from sys import intern
from typing import TextIO

from attention_keras.data.folders import ROLE_NAMES, is_a_line, read_folder
from attention_keras.data.registry import TABLE, GroupBy
from attention_keras.data.split import Role
from attention_keras.data.table import NO_BOX, Box, ImageRow, ImageTable
from attention_keras.errors import UserError

COLUMNS = ("path", "label", "split", "group", "mask", "left", "top", "right", "bottom")
_NEEDED, _BOX = COLUMNS[:2], COLUMNS[-4:]

Names = dict[str, str | None]
Line = tuple[int, Sequence[str]]
"""Number of a line, and what it says in each of `COLUMNS`; nothing in those that there are not."""


def read_files(name: str, columns: Sequence[str] = (), group_by: GroupBy = "none") -> ImageTable:
    """The table of a dataset `folder:PATH` or `table:FILE`."""
    kind, _, path = name.partition(":")
    if f"{kind}:" == TABLE:
        if group_by != "none":
            raise UserError("group_by is for folder:PATH; a table has a column group")
        return read_table(path, columns)
    if columns:
        raise UserError("columns are for table:FILE; a folder has none")
    return read_folder(path, group_by)


def read_table(path: str | Path, columns: Sequence[str] = ()) -> ImageTable:
    """A table of the rows of a file, without opening an image; `columns` are as `label=species`.

    What is wrong is told with file and line. Bytes that are not UTF-8 are kept, as file names may have them.
    """
    file, names = Path(path).expanduser(), _names(columns)
    if not file.is_file():
        raise UserError(f"there is no table {file}; give table:FILE, with {' or '.join(_READERS)}")
    if file.suffix.lower() not in _READERS:
        raise UserError(f"{file} is no table; save it as one of {', '.join(_READERS)}")
    rows: list[ImageRow] = []
    line_of: dict[str, int] = {}
    try:
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            for line, values in _READERS[file.suffix.lower()](file, stream, names):
                try:
                    row = _row(*values)
                except ValueError as reason:
                    raise _wrong(file, line, str(reason)) from None
                if line_of.setdefault(row.path, line) != line:
                    raise _wrong(file, line, f"{row.path!r} is in line {line_of[row.path]} already; keep one")
                rows.append(row)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror or error}") from None
    if len({row.label for row in rows}) < 2:
        found = f"one class only, {rows[0].label!r}" if rows else "no rows"
        raise UserError(f"{file} has {found}; a classifier needs images of two classes")
    return ImageTable.of(file.parent, rows)


def _names(columns: Sequence[str]) -> Names:
    """What each of `COLUMNS` is called in a file; None for one that is left out."""
    names: Names = dict(zip(COLUMNS, COLUMNS))
    for word in columns:
        ours, between, theirs = word.partition("=")
        if ours not in COLUMNS or not between or (ours in _NEEDED and not theirs):
            raise UserError(
                f"columns are such as label=species, or group= to leave it out, with one of "
                f"{', '.join(COLUMNS)} first; got {word!r}"
            )
        names[ours] = theirs or None
    return names


def _csv_lines(file: Path, stream: TextIO, names: Names) -> Iterator[Line]:
    first = stream.readline()
    stream.seek(0)
    # Spreadsheets of some countries write semicolons, since the comma stands in their numbers.
    reader = csv.reader(stream, delimiter=max(",;\t", key=first.count), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        for ours, theirs in names.items():
            needed = ours in _NEEDED or theirs not in (ours, None)
            if theirs and (needed or theirs in header) and header.count(theirs) != 1:
                raise _no_column(file, ours, theirs, header)
        place = {name: number for number, name in enumerate(header)}
        pick = itemgetter(*(place.get(name, len(header)) for name in names.values()))
        for values in reader:
            if len(values) == len(header):
                values.append("")
                yield reader.line_num, pick(values)
            elif values:
                raise _wrong(file, reader.line_num, f"{len(values)} values for {len(header)} columns")
    except csv.Error as error:
        raise _wrong(file, reader.line_num, str(error)) from None


def _json_lines(file: Path, stream: TextIO, names: Names) -> Iterator[Line]:
    found: set[str] = set()
    for line, text in enumerate(stream, 1):
        if text.isspace():
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _wrong(file, line, f"not JSON: {error}") from None
        if not isinstance(record, dict):
            raise _wrong(file, line, "not a JSON object")
        found |= record.keys()
        values = [record.get(name) for name in names.values()]
        if wrong := [value for value in values if type(value) not in (str, int, float, type(None))]:
            raise _wrong(file, line, f"{wrong[0]!r} is neither a text nor a number")
        yield line, ["" if value is None else str(value) for value in values]
    for ours, theirs in names.items():
        if found and theirs not in (ours, None, *found):
            raise _no_column(file, ours, theirs, sorted(found))


_READERS = {".csv": _csv_lines, ".tsv": _csv_lines, ".jsonl": _json_lines, ".ndjson": _json_lines}


def _row(path: str, label: str, split: str, group: str, mask: str, *box: str) -> ImageRow:
    if not path or "\0" in path or "\0" in mask:
        raise ValueError(f"{path!r} is no path of a file")
    place = _box(*box) if any(box) else NO_BOX
    if mask and place is not NO_BOX:
        raise ValueError("it has a mask and a box; keep one of them")
    return ImageRow(path, _label(label), _role(split), mask or None, intern(group.strip()), place)


@cache
def _label(text: str) -> str:
    name = text.strip()
    if not name or not is_a_line(name):
        raise ValueError(f"label {text!r} is not a line of UTF-8")
    return name


@cache
def _role(text: str) -> Role:
    name = text.strip().casefold() or "train"
    if name not in ROLE_NAMES:
        raise ValueError(f"split {text!r} must be train, validation or test")
    return ROLE_NAMES[name]


def _box(*sides: str) -> Box:
    try:
        left, top, right, bottom = map(float, sides)
    except ValueError:
        left = top = right = bottom = math.nan
    if -math.inf < left < right < math.inf and -math.inf < top < bottom < math.inf:
        return left, top, right, bottom
    raise ValueError(
        f"{', '.join(_BOX)} must be numbers, left < right and top < bottom; got {', '.join(sides)}"
    )


def _wrong(file: Path, line: int, what: str) -> UserError:
    return UserError(f"{file}, line {line}: {what}")


def _no_column(file: Path, ours: str, theirs: str, header: Sequence[str]) -> UserError:
    there = ", ".join(map(repr, header)) or "none"
    return UserError(
        f"{file} must have one column {theirs!r} and has {there}; if it is called otherwise, say so with "
        f"columns {ours}=NAME"
    )


def write_table(table: ImageTable, path: str | Path) -> Path:
    """Write a new CSV that `read_table` reads as the same table, with the columns that say something."""
    file = Path(path).expanduser()
    if file.suffix.lower() != ".csv":
        raise UserError(f"output must be a file .csv; got {path}")

    def beside(path: str | None) -> str:
        return Path(os.path.relpath(table.root / path, file.parent)).as_posix() if path else ""

    paths, masks = [*map(beside, table.paths)], [*map(beside, table.masks)]
    labels = [table.class_names[label] for label in table.labels]
    roles = [] if {*table.roles} == {"train"} else table.roles
    boxes = [[f"{side:.9g}" for side in box] if any(box) else [""] * 4 for box in table.boxes]
    written = [paths, labels, roles, table.groups, masks, *zip(*boxes)]
    columns = {name: values for name, values in zip(COLUMNS, written) if any(values)}
    try:
        with file.open("x", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            csv.writer(stream).writerows([list(columns), *zip(*columns.values())])
    except FileExistsError:
        raise UserError(f"{file} is there already; choose another output, or delete it") from None
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from None
    return file
