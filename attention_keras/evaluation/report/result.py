"""What a task hands back, and its files: JSON with everything, CSV of the tables, PNG of the figures."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from attention_keras.drawing.canvas import png
from attention_keras.evaluation.report.table import Table, to_csv
from attention_keras.runs.durable import write_json, write_whole


@dataclass(frozen=True, eq=False)
class Figure:
    """An image for the reader, uint8 RGB `(h, w, 3)`; `name` is that of its file, without the ending.

    Small figures stand side by side. Of the image of one answer, `right` says whether the answer is. `title`
    are the words in the image, for a reader who cannot see it; by default the caption.
    """

    name: str
    pixels: np.ndarray
    caption: str
    small: bool = False
    right: bool | None = None
    title: str = ""


@dataclass(frozen=True, eq=False)
class Gallery:
    """Figures side by side under one heading; their files go into `folder` of the results."""

    heading: str
    folder: str
    figures: Sequence[Figure]


@dataclass(frozen=True, eq=False)
class TaskResult:
    """Results of one task over all runs: every number in `values`, the rest for a reader.

    Notes say how it was measured, warnings why a number may mislead. `further_tables` are files of their own
    by name, not part of the report. All numbered images in `folders` are this task's.
    """

    task: str
    title: str
    values: dict[str, Any]
    tables: Sequence[Table] = ()
    galleries: Sequence[Gallery] = ()
    figures: Sequence[Figure] = ()
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    further_tables: Mapping[str, Table] = field(default_factory=dict)
    folders: Sequence[str] = ()


def write_result(result: TaskResult, folder: Path, about: list[str]) -> None:
    """Write `<task>.json`, `<task>.csv` (`<task>-2.csv`, ... for further tables), `<task>-<figure>.png`.

    Files of an earlier result of the task go away; each file is whole or not there, the JSON comes last.
    `about` are lines on what was measured on what, when, and by which command.
    """
    # First what names the figures, so that a crash leaves no result with figures that are gone.
    (folder / f"{result.task}.json").unlink(missing_ok=True)
    numbered = [path for name in result.folders for path in (folder / name).glob("**/[0-9]*.png")]
    for stale in [*folder.glob(f"{result.task}-*.png"), *folder.glob(f"{result.task}-*.csv"), *numbered]:
        stale.unlink()
    numbers = ["", *(f"-{number}" for number in range(2, len(result.tables) + 1))]
    named = {f"{result.task}{number}.csv": table for number, table in zip(numbers, result.tables)}
    for name, table in (named | result.further_tables).items():
        write_whole(folder / name, to_csv(table).encode(errors="surrogateescape"))
    galleries = [
        {
            "heading": gallery.heading,
            "figures": [_write(f, f"{gallery.folder}/{f.name}.png", folder) for f in gallery.figures],
        }
        for gallery in result.galleries
    ]
    figures = [_write(f, f"{result.task}-{file_name(f.name)}.png", folder) for f in result.figures]
    record = {
        "task": result.task,
        "title": result.title,
        "about": about,
        "warnings": result.warnings,
        "tables": [asdict(table) for table in result.tables],
        "galleries": galleries,
        "figures": figures,
        "notes": result.notes,
        "values": result.values,
    }
    write_json(folder / f"{result.task}.json", plain(record))


def _write(figure: Figure, name: str, folder: Path) -> dict[str, Any]:
    """Write the image at `folder/name`; what the JSON says of it."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    write_whole(folder / name, png(figure.pixels))
    return {
        "file": name,
        "title": figure.title or figure.caption,
        "caption": figure.caption,
        "small": figure.small,
        "right": figure.right,
    }


def file_name(text: str) -> str:
    """`text` with dashes for what file names should not have.

    Example:
        >>> file_name("odd / name")
        'odd-name'
    """
    return re.sub(r"[^\w.-]+", "-", text).strip("-")


def plain(value: Any) -> Any:
    """What JSON can hold: arrays become lists, numbers that are not finite null.

    Example:
        >>> plain({"map": np.array([1.0, np.nan])})
        {'map': [1.0, None]}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):  # a file's name may hold bytes that are no UTF-8
        return value.encode(errors="backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value
