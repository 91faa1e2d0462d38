"""What a task hands back, and its files: JSON, CSV, PNG, and one HTML page of all that needs no network."""

import base64
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from attention_keras.drawing.cells import png
from attention_keras.evaluation.table import Table, to_csv, to_html
from attention_keras.runs.durable import write_json, write_whole

REPORT, PANELS = "report.html", "panels"


@dataclass(frozen=True, eq=False)
class Figure:
    """An image for the reader, uint8 RGB `(h, w, 3)`; its file has the `name`, in a gallery a number.

    `right` is of the image of one answer, `title` the words in it.
    """

    name: str
    pixels: np.ndarray
    caption: str
    right: bool | None = None
    title: str = ""


@dataclass(frozen=True, eq=False)
class TaskResult:
    """Results of one task over all runs: every number in `values`, the rest for a reader.

    `galleries` are figures in `panels/` by their heading; a task that may have some replaces all earlier
    ones. `files` are further texts by name, no part of the report.
    """

    title: str
    values: dict[str, Any]
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    galleries: Mapping[str, Sequence[Figure]] | None = None
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)


def write_result(task: str, result: TaskResult, folder: Path, about: list[str]) -> None:
    """Write `<task>.json`, `<task>.csv`, `<task>-2.csv`, `<task>-<figure>.png` in place of earlier ones.

    `about` says what was measured, when, by which command.
    """
    # First what names the figures, so that a crash leaves no result with figures that are gone.
    (folder / f"{task}.json").unlink(missing_ok=True)
    panels = [] if result.galleries is None else (folder / PANELS).glob("[0-9]*.png")
    for stale in [*folder.glob(f"{task}-*.png"), *folder.glob(f"{task}-*.csv"), *panels]:
        stale.unlink()
    texts = dict(result.files)
    for number, table in enumerate(result.tables, start=1):
        texts[f"{task}-{number}.csv" if number > 1 else f"{task}.csv"] = to_csv(table.columns, table.rows)
    for name, text in texts.items():
        write_whole(folder / name, text.encode(errors="surrogateescape"))

    def written(figure: Figure, name: str) -> dict[str, Any]:
        """Write the image at `folder/name`; what the JSON says of it."""
        (folder / name).parent.mkdir(exist_ok=True)
        write_whole(folder / name, png(figure.pixels))
        return {"file": name, **{key: value for key, value in vars(figure).items() if key != "pixels"}}

    number = itertools.count()
    record = {
        "task": task,
        "title": result.title,
        "about": about,
        "warnings": result.warnings,
        "tables": [table._asdict() for table in result.tables],
        "galleries": [
            {"heading": heading, "figures": [written(f, f"{PANELS}/{next(number):02d}.png") for f in figures]}
            for heading, figures in (result.galleries or {}).items()
        ],
        "figures": [written(f, f"{task}-{file_name(f.name)}.png") for f in result.figures],
        "notes": result.notes,
        "values": result.values,
    }
    # Arrays become lists, and numbers that are not finite null.
    text = json.dumps(record, default=lambda array: array.tolist())
    write_json(folder / f"{task}.json", json.loads(text, parse_constant=lambda number: None))


def file_name(text: str) -> str:
    """`text` with dashes for what file names should not have."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-")


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Evaluation</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 76rem; font: 16px/1.5 system-ui, sans-serif; }
p, figcaption { max-width: 48rem; overflow-wrap: anywhere; } h2 { border-bottom: 1px solid #8886; }
.soft, figcaption { opacity: .75; } .warning { border-left: 4px solid #bf8700; padding: .4rem .8rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin-bottom: 1.2rem; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #8886; text-align: right; white-space: nowrap; }
th { background: #8882; white-space: normal; vertical-align: bottom; } .text { text-align: left; }
figure { margin: 0; max-width: 100%; } .figures { display: flex; flex-wrap: wrap; gap: 1rem; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 34rem), 1fr)); }
.gallery { gap: 1rem; } .gallery img { width: 100%; border-left-width: 5px; }
img { max-width: 100%; background: #fff; border: 1px solid #8886; border-radius: 4px; }
.right img { border-left-color: #1a7f37; } .wrong img { border-left-color: #cf222e; }
</style></head><body>
"""


def write_report(folder: Path, tasks: Sequence[str]) -> Path:
    """Write `report.html` from all `<task>.json` in a folder, those of earlier commands too."""
    files = [folder / f"{task}.json" for task in tasks]
    sections = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
    links = " | ".join(f'<a href="#{s["task"]}">{escape(s["title"])}</a>' for s in sections)
    parts = [_PAGE + f"<h1>Evaluation</h1><nav>{links}</nav>", *(_section(s, folder) for s in sections)]
    # A file's name may hold bytes that are no UTF-8.
    write_whole(folder / REPORT, "\n".join([*parts, "</body></html>\n"]).encode(errors="backslashreplace"))
    return folder / REPORT


def _section(section: dict[str, Any], folder: Path) -> str:
    """What was measured, the numbers, the images, and how to read them."""
    parts = [f'<section id="{escape(section["task"])}"><h2>{escape(section["title"])}</h2>']
    parts += [f'<p class="soft">{escape(line)}</p>' for line in section["about"]]
    parts += [f'<p class="warning">{escape(warning)}</p>' for warning in section["warnings"]]
    parts += [to_html(Table(**table)) for table in section["tables"]]
    for gallery in section["galleries"]:
        parts += [f"<h3>{escape(gallery['heading'])}</h3>", _figures("gallery", gallery["figures"], folder)]
    parts.append(_figures("figures", section["figures"], folder))
    parts += [f"<p>{escape(note)}</p>" for note in section["notes"]]
    return "\n".join([*parts, "</section>"])


def _figures(kind: str, figures: list[dict[str, Any]], folder: Path) -> str:
    """Those whose files are there; one outside the folder was not written by us, and is not read."""
    shown = []
    for figure in figures:
        path = (folder / figure["file"]).resolve()
        if not path.is_file() or not path.is_relative_to(folder.resolve()):
            continue
        answer = {True: "right", False: "wrong"}.get(figure["right"], "")
        # Under an answer also the words in its image, which a narrow screen makes too small to read.
        words = dict.fromkeys([figure["title"], figure["caption"]])
        shown.append(
            f'<figure class="{answer}"><img alt="{escape(figure["title"] or figure["caption"])}" '
            f'src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}">'
            f"<figcaption>{'<br>'.join(escape(line) for line in words if line)}</figcaption></figure>"
        )
    return "\n".join([f'<div class="{kind}">', *shown, "</div>"])
