"""What a task hands back, and its files: JSON, CSV of the tables, PNG of the figures, and one HTML page.

The page shows all results of a folder and needs nothing else: no scripts, no network.
"""

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from attention_keras.drawing.cells import png
from attention_keras.evaluation.report.table import Column, Table, to_csv, to_html
from attention_keras.runs.durable import write_json, write_text, write_whole

REPORT = "report.html"


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

    Files of an earlier result of the task go away. `about` says what was measured, when, by which command.
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

    def written(figure: Figure, name: str) -> dict[str, Any]:
        """Write the image at `folder/name`; what the JSON says of it."""
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_whole(folder / name, png(figure.pixels))
        said = {"title": figure.title or figure.caption, "caption": figure.caption}
        return {"file": name, **said, "small": figure.small, "right": figure.right}

    galleries = [
        {"heading": one.heading, "figures": [written(f, f"{one.folder}/{f.name}.png") for f in one.figures]}
        for one in result.galleries
    ]
    tables = [
        table._asdict() | {"columns": [column._asdict() for column in table.columns]}
        for table in result.tables
    ]
    record = {
        "task": result.task,
        "title": result.title,
        "about": about,
        "warnings": result.warnings,
        "tables": tables,
        "galleries": galleries,
        "figures": [written(f, f"{result.task}-{file_name(f.name)}.png") for f in result.figures],
        "notes": result.notes,
        "values": result.values,
    }
    write_json(folder / f"{result.task}.json", plain(record))


def file_name(text: str) -> str:
    """`text` with dashes for what file names should not have."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-")


def plain(value: Any) -> Any:
    """What JSON can hold: arrays become lists, numbers that are not finite null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, str):  # a file's name may hold bytes that are no UTF-8
        return value.encode(errors="backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value


_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --paper: #fff;
  --tint: #f6f8fa; --link: #0969da; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --paper: #0d1117;
    --tint: #151b23; --link: #4493f8; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 76rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; }
h2 { margin: 2.6rem 0 .4rem; font-size: 1.3rem; border-bottom: 1px solid var(--line); padding-bottom: 4px; }
h3 { margin: 1.4rem 0 .6rem; font-size: 1.05rem; }
p { max-width: 48rem; margin: .5rem 0; } .soft { color: var(--soft); }
nav a { margin-right: 1rem; } a { color: var(--link); }
.scroll { overflow-x: auto; margin: .4rem 0 1.2rem; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { background: var(--tint); white-space: normal; vertical-align: bottom; }
th.text, td.text { text-align: left; }
.gallery { display: grid; gap: .9rem; margin-bottom: 1.2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 34rem), 1fr)); }
.figures { display: flex; flex-wrap: wrap; gap: .5rem 1rem; }
figure { margin: .6rem 0 1rem; max-width: 100%; } figure.small { max-width: 23.5rem; }
figcaption { color: var(--soft); font-size: .92rem; max-width: 48rem; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line); border-radius: 4px; }
.gallery figure { margin: 0; max-width: none; }
.gallery img { display: block; width: 100%; border-left-width: 5px; }
.right img { border-left-color: #1a7f37; } .wrong img { border-left-color: #cf222e; }
.warning { border-left: 4px solid #bf8700; background: var(--tint); padding: .4rem .8rem; }
"""


def write_report(folder: Path, tasks: Sequence[str]) -> Path:
    """Write `report.html` from all `<task>.json` in a folder, those of earlier commands too."""
    files = [folder / f"{task}.json" for task in tasks]
    sections = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
    links = " ".join(f'<a href="#{s["task"]}">{escape(s["title"])}</a>' for s in sections)
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Evaluation</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>Evaluation</h1><nav>{links}</nav>\n"
        + "\n".join(_section(section, folder) for section in sections)
        + "\n</body></html>\n"
    )
    write_text(folder / REPORT, page)
    return folder / REPORT


def _section(section: dict[str, Any], folder: Path) -> str:
    """What was measured, the numbers, the images, and how to read them."""
    parts = [f'<section id="{escape(section["task"])}"><h2>{escape(section["title"])}</h2>']
    parts += [f'<p class="soft">{escape(line)}</p>' for line in section["about"]]
    parts += [f'<p class="warning">{escape(warning)}</p>' for warning in section["warnings"]]
    for table in section["tables"]:
        columns = [Column(**column) for column in table["columns"]]
        parts.append(to_html(Table(table["caption"], columns, table["rows"])))
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
        image = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
        # Under an answer also the words in its image, which a narrow screen makes too small to read.
        words = dict.fromkeys([figure["title"]] * bool(answer) + [figure["caption"]])
        caption = "<br>".join(escape(line) for line in words if line)
        shown.append(
            f'<figure class="{"small " * figure["small"]}{answer}">'
            f'<img alt="{escape(figure["title"])}" src="{image}">'
            + f"<figcaption>{caption}</figcaption>" * bool(caption)
            + "</figure>"
        )
    return "\n".join([f'<div class="{kind}">', *shown, "</div>"])
