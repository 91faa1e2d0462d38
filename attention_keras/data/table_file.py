"""Tables of image files as people have them: CSV and TSV with a line of column names, JSON lines, parquet.

Each row has the path of an image, relative to the table, and its label. It may have a split, a group, a
weight, and where the object is: the path of a mask, or a box in pixels of the upright image.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from attention_keras.data.folders import ROLE_NAMES, is_a_line, read_folder
from attention_keras.data.labels import SEPARATOR, in_words
from attention_keras.data.registry import TABLE, GroupBy, Labels
from attention_keras.data.table import ImageTable
from attention_keras.errors import UserError, needs

if TYPE_CHECKING:
    from pandas import DataFrame

BOX = ("left", "top", "right", "bottom")
COLUMNS = ("path", "label", "split", "group", "weight", "mask", *BOX)
_NEEDED = COLUMNS[:2]


def read_files(
    name: str, columns: Sequence[str] = (), group_by: GroupBy = "none", labels: Labels = "auto"
) -> ImageTable:
    """The table of a dataset `folder:PATH` or `table:FILE`."""
    kind, _, path = name.partition(":")
    if f"{kind}:" == TABLE:
        if group_by != "none":
            raise UserError("group_by is for folder:PATH; a table has a column group")
        return read_table(path, columns, labels)
    if columns:
        raise UserError("columns are for table:FILE; a folder has none")
    return read_folder(path, group_by)


def read_table(path: str | Path, columns: Sequence[str] = (), kind: Labels = "auto") -> ImageTable:
    """A table of the rows of a file, without opening an image; `columns` are as `label=species`.

    What is wrong is told with file and row; the line of column names is row 1, as in a spreadsheet. Bytes
    that are not UTF-8 are kept, as file names may have them.
    """
    file, names = Path(path).expanduser(), _names(columns)
    if not file.is_file():
        raise UserError(f"there is no table {file}; give table:FILE, with {' or '.join(_READERS)}")
    read = _READERS.get(file.suffix.lower())
    if read is None:
        raise UserError(f"{file} is no table; save it as one of {', '.join(_READERS)}")
    pandas = _pandas()
    try:
        frame = _texts(file, read(file), names)
    except (OSError, ValueError) as error:  # of a damaged file, that of pandas and pyarrow
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[0]
        raise UserError(f"cannot read {file}: {reason}") from None

    def refuse(wrong, say: Callable[..., str]) -> None:
        if rows := np.flatnonzero(wrong).tolist():
            raise UserError(f"{file}, row {frame.index[rows[0]]}: {say(frame.iloc[rows[0]])}")

    def checked(column: str, allowed: Callable[[str], bool], wanted: str):
        """A column without space around its values, whose few values are looked at once each."""
        codes, found = pandas.factorize(frame[column])
        found = [text.strip() for text in found]
        wrong = np.array([not allowed(text) for text in found], bool)
        refuse(wrong[codes], lambda row: f"{column} {row[column]!r} {wanted}")
        return np.array(found, object)[codes]

    paths = frame["path"]
    refuse(paths == "", lambda row: "'' is no path of a file")
    refuse(paths.duplicated(), lambda row: f"{row.path!r} is in row {(paths == row.path).idxmax()}; keep one")
    if kind == "auto":
        kind = "multi" if SEPARATOR in "".join(frame["label"]) else "single"
    if kind == "number":
        labels = pandas.to_numeric(frame["label"], errors="coerce").to_numpy("float32")
        refuse(~np.isfinite(labels), lambda row: f"label {row.label!r} is no number")
        class_names = [names["label"]]
    else:
        allowed = lambda text: is_a_line(text) and (kind == "multi" or text != "")  # noqa: E731
        texts = checked("label", allowed, "is not a line of UTF-8")
        labels, class_names = pandas.factorize(texts, sort=True)
        labels = labels.astype("int32")
        if kind == "multi":
            each = [{tag.strip() for tag in text.split(SEPARATOR)} - {""} for text in class_names]
            class_names = sorted(set().union(*each))
            labels = np.array([[name in tags for name in class_names] for tags in each], "uint8")[labels]
    known = {"": "train", **ROLE_NAMES}
    roles = checked("split", lambda text: text.casefold() in known, "must be train, validation or test")
    weights = np.ones(len(frame), "float32")
    if (given := frame["weight"] != "").any():
        weights[given] = pandas.to_numeric(frame["weight"][given], errors="coerce")
        refuse(~((weights > 0) & (weights < np.inf)), lambda row: f"weight {row.weight!r} must be above 0")
    boxed = (frame[[*BOX]] != "").any(axis=1).to_numpy()
    refuse(boxed & (frame["mask"] != ""), lambda row: "it has a mask and a box; keep one of them")
    boxes = np.zeros((len(frame), 4))
    boxes[boxed] = frame.loc[boxed, [*BOX]].apply(pandas.to_numeric, errors="coerce")
    right_way = np.isfinite(boxes).all(axis=1) & (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
    wanted = f"{', '.join(BOX)} must be numbers, left < right and top < bottom"
    refuse(boxed & ~right_way, lambda row: f"{wanted}; got {', '.join(row[[*BOX]])}")
    if len(np.unique(labels)) < 2:
        found = f"one label only, {frame['label'].iloc[0]!r}" if len(labels) else "no rows"
        raise UserError(f"{file} has {found}; a network learns to tell two apart")
    return ImageTable(
        file.parent,
        class_names,
        paths.to_numpy(object),
        labels,
        [known[role.casefold()] for role in roles],
        np.where(frame["mask"] == "", None, frame["mask"]),
        checked("group", lambda text: True, ""),
        boxes,
        weights,
    )


def _pandas():
    with needs("a table", extra="train"):
        import pandas

    return pandas


def _names(columns: Sequence[str]) -> dict[str, str | None]:
    """What each of `COLUMNS` is called in a file; None for one that is left out."""
    names: dict[str, str | None] = dict(zip(COLUMNS, COLUMNS))
    for word in columns:
        ours, between, theirs = word.partition("=")
        if ours not in COLUMNS or not between or (ours in _NEEDED and not theirs):
            raise UserError(
                f"columns are such as label=species, or group= to leave it out, with one of "
                f"{', '.join(COLUMNS)} first; got {word!r}"
            )
        names[ours] = theirs or None
    return names


def _read_text(file: Path) -> "DataFrame":
    pandas = _pandas()
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
        first = stream.readline()
    found = pandas.DataFrame([[""]])
    if first.strip():
        # Spreadsheets of some countries write semicolons, since the comma stands in their numbers. The names
        # are read as a row, so that a row with more values than names is an error.
        how = {"header": None, "dtype": object, "keep_default_na": False, "skip_blank_lines": False}
        how |= {"encoding": "utf-8-sig", "encoding_errors": "surrogateescape"}
        found = pandas.read_csv(file, sep=max(",;\t", key=first.count), **how)
    names, frame = found.iloc[0], found.iloc[1:]
    frame = frame[(frame != "").any(axis=1)]
    frame.columns, frame.index = [str(name).strip() for name in names], frame.index + 1
    return frame


def _read_json(file: Path) -> "DataFrame":
    records = {}
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
        for row, text in enumerate(stream, 1):
            if text.isspace():
                continue
            try:
                records[row] = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{file}, row {row}: not JSON: {error}") from None
            if not isinstance(records[row], dict):
                raise UserError(f"{file}, row {row}: not a JSON object")
    return _pandas().DataFrame(list(records.values()), index=list(records), dtype=object)


_READERS = {
    ".csv": _read_text,
    ".tsv": _read_text,
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".parquet": lambda file: _pandas().read_parquet(file),
}


def _texts(file: Path, found: "DataFrame", names: dict[str, str | None]) -> "DataFrame":
    """What each row says in each of `COLUMNS`, as text; nothing in those that there are not."""
    pandas = _pandas()
    frame = pandas.DataFrame(index=found.index if found.index.dtype == int else range(1, len(found) + 1))
    header = [str(name) for name in found.columns]
    for ours, theirs in names.items():
        wanted = ours in _NEEDED or theirs != ours or theirs in header
        if theirs and wanted and header.count(theirs) != 1:
            there = ", ".join(map(repr, filter(None, header))) or "none"
            raise UserError(
                f"{file} must have one column {theirs!r} and has {there}; if it is called otherwise, say so "
                f"with columns {ours}=NAME"
            )
        frame[ours] = ""
        if theirs in header:
            column = found[theirs].astype(object)
            if pandas.api.types.infer_dtype(column, skipna=False) != "string":
                nested = column.map(lambda value: isinstance(value, list | dict | np.ndarray))
                if nested.any():
                    row = nested.idxmax()
                    raise UserError(f"{file}, row {row}: {column[row]!r} is neither a text nor a number")
                column = column.where(column.notna(), "").map(str)
            frame[ours] = column.set_axis(frame.index)
    return frame


def write_table(table: ImageTable, path: str | Path) -> Path:
    """Write a new CSV that `read_table` reads as the same table, with the columns that say something."""
    file = Path(path).expanduser()
    if file.suffix.lower() != ".csv":
        raise UserError(f"output must be a file .csv; got {path}")
    pandas = _pandas()

    def beside(path: str | None) -> str:
        return Path(os.path.relpath(table.root / path, file.parent)).as_posix() if path else ""

    columns = {
        "path": [*map(beside, table.paths)],
        "label": in_words(table.labels, table.class_names),
        "split": [] if {*table.roles} == {"train"} else table.roles,
        "group": table.groups,
        "weight": [] if (table.weights == 1).all() else [f"{weight:.9g}" for weight in table.weights],
        "mask": [*map(beside, table.masks)],
    }
    boxes = [[f"{side:.9g}" for side in box] if any(box) else [""] * 4 for box in table.boxes]
    columns |= dict(zip(BOX, zip(*boxes)))
    frame = pandas.DataFrame({name: values for name, values in columns.items() if any(values)}, dtype=object)
    try:
        frame.to_csv(file, mode="x", index=False, errors="surrogateescape")
    except FileExistsError:
        raise UserError(f"{file} is there already; choose another output, or delete it") from None
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from None
    return file
