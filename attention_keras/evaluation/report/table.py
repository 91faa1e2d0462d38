"""Tables whose numbers stay numbers until they are shown: in a terminal, Markdown, HTML or CSV."""

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

MISSING = "-"


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1; None for a single value) of one number over seeds."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value."""
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


Cell = str | int | float | Spread | None
"""None and NaN stand for what was not measured."""


class Column(NamedTuple):
    """The head of a column, and the code by which `format` shows its numbers; a column of words has none."""

    head: str
    code: str = ""

    def show(self, cell: Cell, missing: str = MISSING) -> str:
        """A cell as a reader sees it."""
        if _is_missing(cell):
            return missing
        if isinstance(cell, Spread):
            shown = [part for part in (cell.mean, cell.deviation) if part is not None]
            return " ± ".join(format(part, self.code) for part in shown)
        return cell if isinstance(cell, str) else format(cell, self.code)


def _is_missing(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, float) and not math.isfinite(cell))


def text(head: str) -> Column:
    """A column of words."""
    return Column(head)


def integer(head: str) -> Column:
    """A column of whole numbers."""
    return Column(head, ",")


def decimal(head: str, digits: int = 3) -> Column:
    """A column of numbers, or of `Spread`s, shown with so many decimals."""
    return Column(head, f",.{digits}f")


def percent(head: str, digits: int = 1) -> Column:
    """A column of shares in [0, 1], shown as percentages with so many decimals."""
    return Column(head, f".{digits}%")


class Table(NamedTuple):
    """A table for a reader: a caption, columns, and rows with one plain value for each column."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]

    def texts(self, missing: str = MISSING) -> list[list[str]]:
        """The heads, then the cells of each row as they are shown."""
        rows = [
            [c.show(cell, missing) for c, cell in zip(self.columns, row, strict=True)] for row in self.rows
        ]
        return [[column.head for column in self.columns], *rows]


def to_terminal(table: Table) -> str:
    """Columns of equal width, without the caption."""
    lines = table.texts()
    widths = [max(map(len, cells)) for cells in zip(*lines)]
    sides = [str.rjust if column.code else str.ljust for column in table.columns]
    aligned = [[side(cell, width) for side, cell, width in zip(sides, line, widths)] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in aligned)


def to_markdown(table: Table) -> str:
    """A Markdown table without the caption; a missing cell stays empty."""
    rule = "".join("---:|" if column.code else "---|" for column in table.columns)
    head, *body = (f"| {' | '.join(line)} |" for line in table.texts(missing=""))
    return "\n".join([head, f"|{rule}", *body])


def to_html(table: Table) -> str:
    """A `<table>` with its caption, in a `<div class="scroll">` that may be wider than the page."""
    kinds = ["" if column.code else ' class="text"' for column in table.columns]

    def line(tag: str, cells: list[str]) -> str:
        return "<tr>" + "".join(f"<{tag}{k}>{escape(c)}</{tag}>" for k, c in zip(kinds, cells)) + "</tr>"

    heads, *rows = table.texts()
    body = "\n".join(line("td", cells) for cells in rows)
    return (
        f'<div class="scroll"><table><caption>{escape(table.caption)}</caption>'
        f"<thead>{line('th', heads)}</thead>\n<tbody>{body}</tbody></table></div>"
    )


def to_csv(table: Table) -> str:
    """The heads and the plain values, unrounded; shares stay shares, a missing cell is empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([column.head for column in table.columns])
    for row in table.rows:
        plain = [cell.mean if isinstance(cell, Spread) else cell for cell in row]
        writer.writerow([None if _is_missing(cell) else cell for cell in plain])
    return file.getvalue()
