"""A table as a reader sees it: text for a terminal, Markdown, HTML; and CSV with the plain values."""

import csv
import io
import math
from html import escape

from attention_keras.evaluation.report.spread import Spread
from attention_keras.evaluation.report.table import Cell, Column, Table

MISSING = "-"


def cell_text(column: Column, cell: Cell, missing: str = MISSING) -> str:
    """A cell as its column shows it; `missing` for None and for numbers that are not finite.

    Example:
        >>> from attention_keras.evaluation.report.table import integer, percent
        >>> cell_text(percent("error", 2), 0.048), cell_text(integer("images"), 2000)
        ('4.80%', '2,000')
    """
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return missing
    if isinstance(cell, Spread):
        return cell.text(column.digits)
    if column.is_text or isinstance(cell, str):
        return str(cell)
    code = {"integer": ",", "decimal": f",.{column.digits}f", "percent": f".{column.digits}%"}[column.kind]
    return format(cell, code)


def _texts(table: Table, missing: str = MISSING) -> list[list[str]]:
    return [[cell_text(*pair, missing) for pair in zip(table.columns, row)] for row in table.rows]


def to_terminal(table: Table) -> str:
    """Columns of equal width, without the caption.

    Example:
        >>> from attention_keras.evaluation.report.table import decimal, text
        >>> print(to_terminal(Table("", [text("run"), decimal("area")], [["demo", 0.25], ["other", None]])))
        run     area
        demo   0.250
        other      -
    """
    lines = [[column.head for column in table.columns], *_texts(table)]
    widths = [max(map(len, cells)) for cells in zip(*lines)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column.is_text else cell.rjust(width)
            for column, cell, width in zip(table.columns, line, widths)
        ).rstrip()
        for line in lines
    )


def to_markdown(table: Table) -> str:
    """A Markdown table without the caption; a cell that is missing stays empty.

    Example:
        >>> from attention_keras.evaluation.report.table import decimal, text
        >>> print(to_markdown(Table("", [text("model"), decimal("error", 2)], [["vgg", 7.77]])))
        | model | error |
        |---|---:|
        | vgg | 7.77 |
    """
    rule = "".join("---|" if column.is_text else "---:|" for column in table.columns)
    lines = [[column.head for column in table.columns], *_texts(table, missing="")]
    head, *body = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, f"|{rule}", *body])


def to_html(table: Table) -> str:
    """A `<table>` with its caption, in a `<div class="scroll">` that may be wider than the page."""
    kinds = [' class="text"' if column.is_text else "" for column in table.columns]

    def line(tag: str, cells: list[str]) -> str:
        return "<tr>" + "".join(f"<{tag}{k}>{escape(c)}</{tag}>" for k, c in zip(kinds, cells)) + "</tr>"

    head = line("th", [column.head for column in table.columns])
    rows = "\n".join(line("td", cells) for cells in _texts(table))
    return (
        f'<div class="scroll"><table><caption>{escape(table.caption)}</caption>'
        f"<thead>{head}</thead>\n<tbody>{rows}</tbody></table></div>"
    )


def to_csv(table: Table) -> str:
    """The heads and the plain values, unrounded; shares stay shares, what is missing is empty.

    Example:
        >>> from attention_keras.evaluation.report.table import percent, text
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
