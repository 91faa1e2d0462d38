"""What a task hands back, and how it lies on disk: JSON with everything, CSV of the tables, PNG figures."""

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from attention_keras.runs.durable import write_whole

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """A table for a reader: caption, column heads, rows of text and numbers (None = not measured)."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture, uint8 RGB `(height, width, 3)`, with what it shows; `small` ones stand side by side."""

    name: str
    pixels: np.ndarray
    caption: str
    small: bool = False


@dataclass(frozen=True, eq=False)
class TaskResult:
    """Results of one task over all runs.

    Attributes:
        task: as in `--task`.
        title: of its section in the report.
        values: every number, plain JSON values.
        tables, figures: for the reader; the CSV files hold the tables.
        notes: how it was measured, and how to read it.
        warnings: why a number here may mislead.
        summary: lines for the terminal; by default the tables.
        files: further files, path in the results folder -> content.
        folders: folders in it whose numbered pictures are all of this task.
    """

    task: str
    title: str
    values: dict[str, Any]
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    summary: Sequence[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    folders: Sequence[str] = ()


def write_result(result: TaskResult, folder: Path, about: str = "") -> None:
    """Write `<task>.json`, `<task>.csv` (`<task>-2.csv`, ... for further tables), `<task>-<figure>.png`.

    Files of an earlier result of the task go away; each file is whole or not there, the JSON comes last.

    Args:
        result: of one task.
        folder: of all results.
        about: what was measured on what, in a line.
    """
    # First what names the figures, so that a crash leaves no result with figures that are gone.
    (folder / f"{result.task}.json").unlink(missing_ok=True)
    numbered = [path for name in result.folders for path in (folder / name).glob("**/[0-9]*.png")]
    for stale in [*folder.glob(f"{result.task}-*.png"), *folder.glob(f"{result.task}-*.csv"), *numbered]:
        stale.unlink()
    for name, content in result.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_whole(folder / name, content)
    figures = []
    for figure in result.figures:
        name = f"{result.task}-{file_name(figure.name)}.png"
        write_whole(folder / name, png(figure.pixels))
        figures.append({"file": name, "caption": figure.caption, "small": figure.small})
    for number, table in enumerate(result.tables, 1):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([table.columns, *table.rows])
        suffix = "" if number == 1 else f"-{number}"
        write_whole(folder / f"{result.task}{suffix}.csv", text.getvalue().encode())
    write_json(
        folder / f"{result.task}.json",
        {
            "task": result.task,
            "title": result.title,
            "about": about,
            "notes": list(result.notes),
            "warnings": list(result.warnings),
            "tables": [
                {"caption": t.caption, "columns": list(t.columns), "rows": [list(row) for row in t.rows]}
                for t in result.tables
            ],
            "figures": figures,
            "values": result.values,
        },
    )


def png(pixels: np.ndarray) -> bytes:
    """Pixels, uint8 `(height, width, 3)`, as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def write_json(path: Path, value: Any) -> None:
    """`json_text`, whole or not there."""
    write_whole(path, json_text(value).encode())


def json_text(value: Any) -> str:
    """Standard JSON: arrays become lists, numbers that are not finite null."""
    return json.dumps(_plain(value), indent=2, allow_nan=False) + "\n"


def file_name(text: str) -> str:
    """`text` with what file names should not have turned into dashes."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def format_cell(cell: Cell) -> str:
    """A cell as a reader sees it: three decimals, thousands apart, a dash for what was not measured."""
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return "-"
    if isinstance(cell, str):
        return cell
    return f"{cell:,}" if isinstance(cell, int | np.integer) else f"{cell:.3f}"
