"""A result on disk: JSON with everything, CSV of the tables, PNG of the pictures."""

import re
from pathlib import Path
from typing import Any

from attention_keras.drawing.canvas import png
from attention_keras.evaluation.report.json_text import write_json
from attention_keras.evaluation.report.render import to_csv
from attention_keras.evaluation.report.result import Figure, TaskResult
from attention_keras.runs.durable import write_whole


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
        write_whole(folder / name, content)
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
    write_json(
        folder / f"{result.task}.json",
        {
            "task": result.task,
            "title": result.title,
            "about": about,
            "notes": list(result.notes),
            "warnings": list(result.warnings),
            "galleries": galleries,
            "tables": [table.to_dict() for table in result.tables],
            "figures": figures,
            "values": result.values,
        },
    )


def _write(figure: Figure, name: str, folder: Path) -> dict[str, Any]:
    """Write the picture at `folder/name`; what the JSON says of it."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    write_whole(folder / name, png(figure.pixels))
    return {"file": name, "caption": figure.caption, "small": figure.small, "right": figure.right}


def file_name(text: str) -> str:
    """`text` with dashes for what file names should not have.

    Example:
        >>> file_name("odd / name")
        'odd-name'
    """
    return re.sub(r"[^\w.-]+", "-", text).strip("-")
