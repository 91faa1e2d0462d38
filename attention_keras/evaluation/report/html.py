"""All results of a folder as one HTML file that needs nothing else: no scripts, no network."""

import base64
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from attention_keras.evaluation.report.table import Table, to_html
from attention_keras.runs.durable import write_whole

REPORT = "report.html"

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
    """Write `report.html` from the `<task>.json` files in a results folder, in the order of `tasks`.

    Results of earlier commands in the folder are shown too.
    """
    files = [folder / f"{task}.json" for task in tasks]
    sections = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
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
    """What was measured, the numbers, the images, and how to read them."""
    parts = [f'<section id="{escape(section["task"])}"><h2>{escape(section["title"])}</h2>']
    parts += [f'<p class="soft">{escape(line)}</p>' for line in section["about"]]
    parts += [f'<p class="warning">{escape(warning)}</p>' for warning in section["warnings"]]
    parts += [to_html(Table.from_dict(table)) for table in section["tables"]]
    for gallery in section["galleries"]:
        parts += [f"<h3>{escape(gallery['heading'])}</h3>", _figures("gallery", gallery["figures"], folder)]
    parts += [_figures("figures", section["figures"], folder)]
    parts += [f"<p>{escape(note)}</p>" for note in section["notes"]]
    return "\n".join([*parts, "</section>"])


def _figures(kind: str, figures: list[dict[str, Any]], folder: Path) -> str:
    shown = [_figure(figure, path) for figure in figures if (path := _file(figure, folder))]
    return "\n".join([f'<div class="{kind}">', *shown, "</div>"])


def _file(figure: dict[str, Any], folder: Path) -> Path | None:
    """The figure's file; None where it is gone, or outside the folder and so not written by us."""
    path = (folder / figure["file"]).resolve()
    return path if path.is_file() and path.is_relative_to(folder.resolve()) else None


def _figure(figure: dict[str, Any], path: Path) -> str:
    answer = {True: "right", False: "wrong"}.get(figure["right"])
    names = [name for name in ("small" if figure["small"] else None, answer) if name]
    kind = f' class="{" ".join(names)}"' if names else ""
    image = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    # Under an answer also the words in its image, which a narrow screen makes too small to read.
    words = dict.fromkeys([figure["title"]] * bool(answer) + [figure["caption"]])
    lines = "<br>".join(escape(line) for line in words if line)
    caption = f"<figcaption>{lines}</figcaption>" if lines else ""
    return f'<figure{kind}><img alt="{escape(figure["title"])}" src="{image}">{caption}</figure>'
