"""Tables whose numbers stay numbers until they are shown: in a terminal, Markdown, HTML or CSV."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

TEXT, INTEGER, DECIMAL, PERCENT = "", ",", ",.3f", ".1%"
"""Codes by which `format` shows a column; numbers of other precision have one of their own."""
Cell = str | int | float | tuple[float, float] | None
"""None and NaN stand for what was not measured; two numbers are a mean and its deviation."""


class Table(NamedTuple):
    """A table for a reader: a caption, head -> code of each column, and rows with a plain value for each."""

    caption: str
    columns: Mapping[str, str]
    rows: Sequence[Sequence[Cell]]

    def texts(self, missing: str = "-") -> list[list[str]]:
        """The heads, then the cells of each row as they are shown."""
        codes = list(self.columns.values())
        rows = [
            [_shown(cell, code, missing) for cell, code in zip(row, codes, strict=True)] for row in self.rows
        ]
        return [[*self.columns], *rows]


def _shown(cell: Cell, code: str, missing: str) -> str:
    if _is_missing(cell):
        return missing
    if isinstance(cell, tuple):
        return " ± ".join(format(part, code) for part in cell)
    return cell if isinstance(cell, str) else format(cell, code)


def _is_missing(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, float) and not math.isfinite(cell))


def to_terminal(table: Table) -> str:
    """Columns of equal width, without the caption."""
    lines = table.texts()
    widths = [max(map(len, cells)) for cells in zip(*lines)]
    sides = [str.rjust if code else str.ljust for code in table.columns.values()]
    aligned = [[side(cell, width) for side, cell, width in zip(sides, line, widths)] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in aligned)


def to_markdown(table: Table) -> str:
    """A Markdown table without the caption; a missing cell stays empty."""
    rule = "".join("---:|" if code else "---|" for code in table.columns.values())
    head, *body = (f"| {' | '.join(line)} |" for line in table.texts(missing=""))
    return "\n".join([head, f"|{rule}", *body])


def to_html(table: Table) -> str:
    """A `<table>` with its caption, in a `<div class="scroll">` that may be wider than the page."""
    kinds = ["" if code else ' class="text"' for code in table.columns.values()]

    def line(tag: str, cells: list[str]) -> str:
        return "<tr>" + "".join(f"<{tag}{k}>{escape(c)}</{tag}>" for k, c in zip(kinds, cells)) + "</tr>"

    heads, *rows = table.texts()
    body = "\n".join(line("td", cells) for cells in rows)
    return (
        f'<div class="scroll"><table><caption>{escape(table.caption)}</caption>'
        f"<thead>{line('th', heads)}</thead>\n<tbody>{body}</tbody></table></div>"
    )


def to_csv(heads: Iterable[str], rows: Iterable[Sequence[Cell]]) -> str:
    """The heads and the plain values, unrounded; shares stay shares, a missing cell is empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(heads)
    for row in rows:
        plain = [cell[0] if isinstance(cell, tuple) else cell for cell in row]
        writer.writerow([None if _is_missing(cell) else cell for cell in plain])
    return file.getvalue()
