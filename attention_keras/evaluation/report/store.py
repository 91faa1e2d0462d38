"""A result on disk: JSON with everything, CSV of the tables, PNG of the figures."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from attention_keras.drawing.canvas import png
from attention_keras.evaluation.report.result import Figure, TaskResult
from attention_keras.evaluation.report.table import Table, to_csv
from attention_keras.runs.durable import write_json, write_whole


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
    for name, content in result.files.items():
        if isinstance(content, Table):
            write_whole(folder / name, to_csv(content).encode(errors="surrogateescape"))
        else:
            write_json(folder / name, plain(content))
    for number, table in enumerate(result.tables, 1):
        suffix = "" if number == 1 else f"-{number}"
        write_whole(folder / f"{result.task}{suffix}.csv", to_csv(table).encode())
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
        "tables": [table.to_dict() for table in result.tables],
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
