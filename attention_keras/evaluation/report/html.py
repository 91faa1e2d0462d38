"""All results of a folder as one HTML file that needs nothing else: no scripts, no network."""

import base64
import json
from html import escape
from pathlib import Path
from typing import Any

from attention_keras.evaluation.options import TASKS
from attention_keras.evaluation.report.result import format_cell
from attention_keras.runs.durable import write_whole

REPORT = "report.html"

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --paper: #fff;
  --tint: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --paper: #0d1117; --tint: #151b23; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 76rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; }
h2 { margin: 2.6rem 0 .4rem; font-size: 1.3rem; border-bottom: 1px solid var(--line); padding-bottom: 4px; }
p { max-width: 48rem; margin: .5rem 0; } .soft { color: var(--soft); }
nav a { margin-right: 1rem; } a { color: #0969da; }
.scroll { overflow-x: auto; margin: .4rem 0 1.2rem; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { background: var(--tint); white-space: normal; vertical-align: bottom; }
th.text, td.text { text-align: left; }
.figures { display: flex; flex-wrap: wrap; gap: .5rem 1rem; }
figure { margin: .6rem 0 1rem; max-width: 100%; } figure.small { max-width: 23.5rem; }
figcaption { color: var(--soft); font-size: .92rem; max-width: 48rem; }
img { max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line); border-radius: 4px; }
.warning { border-left: 4px solid #bf8700; background: var(--tint); padding: .4rem .8rem; }
"""


def write_report(folder: Path) -> Path:
    """Write `report.html` from the `<task>.json` files of a results folder.

    Args:
        folder: where `write_result` wrote; results of earlier commands in it are shown too.

    Returns:
        Path of the report.
    """
    sections = [
        json.loads((folder / f"{task}.json").read_text(encoding="utf-8"))
        for task in TASKS
        if (folder / f"{task}.json").exists()
    ]
    path = folder / REPORT
    write_whole(path, _page(sections, folder).encode())
    return path


def _page(sections: list[dict[str, Any]], folder: Path) -> str:
    links = " ".join(f'<a href="#{s["task"]}">{escape(s["title"])}</a>' for s in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Evaluation</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>Evaluation</h1><nav>{links}</nav>\n"
        + "\n".join(_section(section, folder) for section in sections)
        + "\n</body></html>\n"
    )


def _section(section: dict[str, Any], folder: Path) -> str:
    parts = [f'<section id="{escape(section["task"])}"><h2>{escape(section["title"])}</h2>']
    parts += [f'<p class="soft">{escape(section["about"])}</p>'] if section.get("about") else []
    parts += [f"<p>{escape(note)}</p>" for note in section["notes"]]
    parts += [f'<p class="warning">{escape(warning)}</p>' for warning in section["warnings"]]
    parts += [_table(table) for table in section["tables"]]
    figures = [f for f in section["figures"] if (folder / Path(f["file"]).name).is_file()]
    parts += ['<div class="figures">', *(_figure(figure, folder) for figure in figures), "</div>"]
    return "\n".join([*parts, "</section>"])


def _table(table: dict[str, Any]) -> str:
    columns = list(zip(*table["rows"])) or [()] * len(table["columns"])
    # A column of words reads from the left, one of numbers lines up on the right.
    kinds = [' class="text"' if _is_text(column) else "" for column in columns]
    head = "".join(
        f"<th{kind}>{escape(str(name))}</th>" for kind, name in zip(kinds, table["columns"], strict=True)
    )
    rows = "\n".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(format_cell(cell))}</td>" for kind, cell in zip(kinds, row))
        + "</tr>"
        for row in table["rows"]
    )
    return (
        f'<div class="scroll"><table><caption>{escape(table["caption"])}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>"
    )


def _is_text(column: tuple) -> bool:
    return any(isinstance(cell, str) and not cell[:1].isdigit() for cell in column)


def _figure(figure: dict[str, Any], folder: Path) -> str:
    # A name with a folder in it was not written by us.
    content = (folder / Path(figure["file"]).name).read_bytes()
    kind = ' class="small"' if figure.get("small") else ""
    data = base64.b64encode(content).decode()
    caption = escape(figure["caption"])
    return (
        f'<figure{kind}><img alt="{caption}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
