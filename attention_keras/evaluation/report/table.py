"""Tables whose numbers stay numbers until they are shown: in a terminal, Markdown, HTML or CSV."""

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Literal

MISSING = "-"


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1; None for a single value) of one number over seeds."""

    mean: float
    deviation: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value.

        Example:
            >>> Spread.of([10.0, 11.0, 12.0]).text(1)
            '11.0 ± 1.0'
        """
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), deviation, tuple(values))

    def text(self, digits: int) -> str:
        """`mean ± deviation`, both with so many decimals; the mean alone for a single value."""
        mean = f"{self.mean:.{digits}f}"
        return mean if self.deviation is None else f"{mean} ± {self.deviation:.{digits}f}"


Cell = str | int | float | Spread | None
"""None and NaN stand for what was not measured."""


@dataclass(frozen=True)
class Column:
    """The head of a column, and how its cells are shown.

    A `percent` is a share in [0, 1]; `digits` are the decimals of a decimal or a percentage.
    """

    head: str
    kind: Literal["text", "integer", "decimal", "percent"] = "text"
    digits: int = 0

    @property
    def is_text(self) -> bool:
        """Whether the cells are words, which begin at the left; numbers end at the right."""
        return self.kind == "text"

    def show(self, cell: Cell, missing: str = MISSING) -> str:
        """A cell as a reader sees it; `missing` for None and for numbers that are not finite.

        Example:
            >>> percent("error", 2).show(0.048), integer("images").show(2000)
            ('4.80%', '2,000')
        """
        if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
            return missing
        if isinstance(cell, Spread):
            return cell.text(self.digits)
        if self.is_text or isinstance(cell, str):
            return str(cell)
        code = {"integer": ",", "decimal": f",.{self.digits}f", "percent": f".{self.digits}%"}[self.kind]
        return format(cell, code)


def text(head: str) -> Column:
    """A column of words."""
    return Column(head)


def integer(head: str) -> Column:
    """A column of whole numbers."""
    return Column(head, "integer")


def decimal(head: str, digits: int = 3) -> Column:
    """A column of numbers, or of `Spread`s, shown with so many decimals."""
    return Column(head, "decimal", digits)


def percent(head: str, digits: int = 1) -> Column:
    """A column of shares in [0, 1], shown as percentages with so many decimals."""
    return Column(head, "percent", digits)


@dataclass(frozen=True)
class Table:
    """A table for a reader: a caption, columns, and rows with one plain value for each column.

    Example:
        >>> Table("Test error", [text("run"), percent("error")], [["demo", 0.048]]).rows[0][1]
        0.048
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]

    def __post_init__(self):
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"{self.caption}: a row has {len(row)} cells for {len(self.columns)} columns"
                )

    def to_dict(self) -> dict[str, Any]:
        """Values for JSON; `from_dict` is the inverse."""
        return {
            "caption": self.caption,
            "columns": [asdict(column) for column in self.columns],
            "rows": [list(row) for row in self.rows],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Table":
        """A table from `to_dict` values."""
        return cls(values["caption"], [Column(**column) for column in values["columns"]], values["rows"])

    def texts(self, missing: str = MISSING) -> list[list[str]]:
        """The heads, then the cells of each row as they are shown."""
        heads = [column.head for column in self.columns]
        rows = [[column.show(cell, missing) for column, cell in zip(self.columns, row)] for row in self.rows]
        return [heads, *rows]


def to_terminal(table: Table) -> str:
    """Columns of equal width, without the caption.

    Example:
        >>> print(to_terminal(Table("", [text("run"), decimal("area")], [["demo", 0.25], ["other", None]])))
        run     area
        demo   0.250
        other      -
    """
    lines = table.texts()
    widths = [max(map(len, cells)) for cells in zip(*lines)]
    aligned = [
        [
            cell.ljust(width) if column.is_text else cell.rjust(width)
            for column, cell, width in zip(table.columns, line, widths)
        ]
        for line in lines
    ]
    return "\n".join("  ".join(line).rstrip() for line in aligned)


def to_markdown(table: Table) -> str:
    """A Markdown table without the caption; a missing cell stays empty.

    Example:
        >>> print(to_markdown(Table("", [text("model"), decimal("error", 2)], [["vgg", 7.77]])))
        | model | error |
        |---|---:|
        | vgg | 7.77 |
    """
    rule = "".join("---|" if column.is_text else "---:|" for column in table.columns)
    head, *body = (f"| {' | '.join(line)} |" for line in table.texts(missing=""))
    return "\n".join([head, f"|{rule}", *body])


def to_html(table: Table) -> str:
    """A `<table>` with its caption, in a `<div class="scroll">` that may be wider than the page."""
    kinds = [' class="text"' if column.is_text else "" for column in table.columns]

    def line(tag: str, cells: list[str]) -> str:
        return "<tr>" + "".join(f"<{tag}{k}>{escape(c)}</{tag}>" for k, c in zip(kinds, cells)) + "</tr>"

    heads, *rows = table.texts()
    body = "\n".join(line("td", cells) for cells in rows)
    return (
        f'<div class="scroll"><table><caption>{escape(table.caption)}</caption>'
        f"<thead>{line('th', heads)}</thead>\n<tbody>{body}</tbody></table></div>"
    )


def to_csv(table: Table) -> str:
    """The heads and the plain values, unrounded; shares stay shares, a missing cell is empty.

    Example:
        >>> print(to_csv(Table("", [text("run"), percent("error")], [["demo", 0.048]])), end="")
        run,error
        demo,0.048
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([column.head for column in table.columns])
    writer.writerows([_plain(cell) for cell in row] for row in table.rows)
    return file.getvalue()


def _plain(cell: Cell) -> str | int | float | None:
    if isinstance(cell, Spread):
        return cell.mean
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell
