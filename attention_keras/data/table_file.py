"""Tables of image files as people have them: CSV and TSV with a line of column names, JSON lines, parquet.

Each row has the path of an image, relative to the table, and its label. It may have a split, a group, a
weight, and where the object is: the path of a mask, or a box in pixels of the upright image.
"""

import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from attention_keras.data.folders import NO_LINE, ROLE_NAMES, read_folder
from attention_keras.data.registry import TABLE, GroupBy, Labels
from attention_keras.data.split import SEPARATOR, labels_in_words
from attention_keras.data.table import BOX, ImageTable
from attention_keras.errors import UserError, needs

with needs("a table of images", extra="train"):
    import pandas

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
    read = _READERS.get(file.suffix.lower())
    if read is None:
        raise UserError(f"{file} is no table; save it as one of {', '.join(_READERS)}")
    try:
        found = read(file)
    except (OSError, ValueError) as error:  # of a damaged file, that of pandas and pyarrow
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[0]
        raise UserError(f"cannot read {file}: {reason}") from None
    frame, number = _texts(file, found, names), partial(pandas.to_numeric, errors="coerce")
    texts = frame["label"].str.strip()
    if kind == "auto":
        kind = "multi" if texts.str.contains(SEPARATOR, regex=False).any() else "single"
    if kind == "number":
        labels, class_names = number(texts).to_numpy("float32"), [names["label"]]
        wrong = {"label {label!r} is no number": ~np.isfinite(labels)}
    else:
        labels, class_names = pandas.factorize(texts, sort=True)
        labels, no_line = labels.astype("int32"), texts.str.contains(NO_LINE)
        wrong = {"label {label!r} is not a line of UTF-8": no_line | ((texts == "") & (kind == "single"))}
    if kind == "multi":
        each = [{tag.strip() for tag in text.split(SEPARATOR)} - {""} for text in class_names]
        class_names = sorted(set().union(*each))
        labels = np.array([[name in tags for name in class_names] for tags in each], "uint8")[labels]
    roles = np.array([_ROLES.get(text, "") for text in frame["split"].str.strip().str.casefold()], object)
    given, boxed = frame["weight"] != "", (frame[[*BOX]] != "").any(axis=1)
    weights = number(frame["weight"][given]).reindex(frame.index, fill_value=1)
    boxes = frame.loc[boxed, [*BOX]].apply(number).astype(float).reindex(frame.index, fill_value=0)
    ordered = (boxes["left"] < boxes["right"]) & (boxes["top"] < boxes["bottom"])
    wrong |= {
        "'' is no path of a file": frame["path"] == "",
        "{path!r} is in a row before; keep one": frame["path"].duplicated(),
        "split {split!r} must be train, validation or test": roles == "",
        "weight {weight!r} must be above 0": ~weights.between(0, np.inf, "neither"),
        "it has a mask and a box; keep one of them": boxed & (frame["mask"] != ""),
        "left, top, right, bottom must be numbers, left < right and top < bottom; "
        "got {left}, {top}, {right}, {bottom}": boxed & ~(ordered & np.isfinite(boxes).all(axis=1)),
    }
    for said, rows in wrong.items():
        for row in frame.index[rows][:1]:
            raise UserError(f"{file}, row {row}: {said.format(**frame.loc[row])}")
    if len(np.unique(labels)) < 2:
        one = f"one label only, {frame['label'].iloc[0]!r}" if len(labels) else "no rows"
        raise UserError(f"{file} has {one}; a network learns to tell two apart")
    columns = {"split": roles, "group": frame["group"].str.strip(), "weight": weights, **boxes}
    return ImageTable(file.parent, class_names, labels, frame.assign(**columns))


def _names(columns: Sequence[str]) -> dict[str, str]:
    """What each of `COLUMNS` is called in a file; nothing for one that is left out."""
    names = dict(zip(COLUMNS, COLUMNS))
    for word in columns:
        ours, between, theirs = word.partition("=")
        if ours not in COLUMNS or not between or (ours in _NEEDED and not theirs):
            raise UserError(
                f"columns are such as label=species, or group= to leave it out, with one of "
                f"{', '.join(COLUMNS)} first; got {word!r}"
            )
        names[ours] = theirs
    return names


def _read_text(file: Path) -> pandas.DataFrame:
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
        first = stream.readline()
    # Spreadsheets of some countries write semicolons, since the comma stands in their numbers. The names
    # are read as a row, so that a row with more values than names is an error.
    how = {"header": None, "dtype": object, "keep_default_na": False, "skip_blank_lines": False}
    how |= {"encoding": "utf-8-sig", "encoding_errors": "surrogateescape"}
    found = pandas.read_csv(file, sep=max(",;\t", key=first.count), **how)
    frame = found.iloc[1:].set_axis([str(name).strip() for name in found.iloc[0]], axis=1)
    return frame[(frame != "").any(axis=1)].rename(index=lambda row: row + 1)


def _read_json(file: Path) -> pandas.DataFrame:
    records = {}
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
        for row, text in enumerate(stream, 1):
            try:
                if text.strip():
                    records[row] = dict(json.loads(text))
            except (ValueError, TypeError, RecursionError):
                raise ValueError(f"row {row} is no JSON object") from None
    return pandas.DataFrame([*records.values()], index=[*records], dtype=object)


def _read_parquet(file: Path) -> pandas.DataFrame:
    frame = pandas.read_parquet(file)
    return frame.set_axis(range(1, len(frame) + 1))


_ROLES = {"": "train", **ROLE_NAMES}
_READERS = {
    ".csv": _read_text,
    ".tsv": _read_text,
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".parquet": _read_parquet,
}


def _texts(file: Path, found: pandas.DataFrame, names: dict[str, str]) -> pandas.DataFrame:
    """What each row says in each of `COLUMNS`, as text; nothing in those that there are not."""
    columns, header = {}, [str(name) for name in found.columns]
    for ours, theirs in names.items():
        count = header.count(theirs) if theirs else 0
        if count > 1 or (not count and (ours in _NEEDED or theirs not in ("", ours))):
            there = ", ".join(map(repr, filter(None, header))) or "none"
            raise UserError(
                f"{file} must have one column {theirs!r} and has {there}; if it is called otherwise, say so "
                f"with columns {ours}=NAME"
            )
        values = found[theirs].astype(object) if count else pandas.Series("", found.index, dtype=object)
        if pandas.api.types.infer_dtype(values, skipna=False) != "string":
            for row, value in values.items():
                if isinstance(value, list | dict | np.ndarray):
                    raise UserError(f"{file}, row {row}: {value!r} is neither a text nor a number")
            values = pandas.Series(map(str, values.where(values.notna(), "")), values.index, dtype=object)
        columns[ours] = values
    return pandas.DataFrame(columns)


def write_table(table: ImageTable, path: str | Path) -> Path:
    """Write a new CSV that `read_table` reads as the same table, with the columns that say something."""
    file = Path(path).expanduser()
    if file.suffix.lower() != ".csv":
        raise UserError(f"output must be a file .csv; got {path}")

    def beside(path: str) -> str:
        return Path(os.path.relpath(table.root / path, file.parent)).as_posix() if path else ""

    columns = {
        "path": [*map(beside, table.paths)],
        "label": labels_in_words(table.labels, table.class_names),
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
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from None
    return file
