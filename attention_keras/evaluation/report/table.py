"""Tables whose numbers stay numbers: a column says how its cells are shown, a renderer shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from attention_keras.evaluation.report.spread import Spread

Cell = str | int | float | Spread | None
"""None and NaN stand for what was not measured."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        head: for the reader.
        kind: `text`; `integer`; `decimal`; or `percent`, whose cells are shares in [0, 1].
        digits: decimals shown of a decimal or a percentage.
    """

    head: str
    kind: Literal["text", "integer", "decimal", "percent"] = "text"
    digits: int = 0

    @property
    def is_text(self) -> bool:
        """Whether the cells are words, which begin at the left; numbers end at the right."""
        return self.kind == "text"


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
    """A table for a reader.

    Attributes:
        caption: what it shows.
        columns: their heads and kinds.
        rows: one plain value for each column.

    Raises:
        ValueError: a row has more or fewer cells than there are columns.

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
        """A table from `to_dict` values, or from a result of an earlier version.

        Earlier versions wrote the heads alone, and cells such as "4.80%" as they were shown.

        Example:
            >>> Table.from_dict({"caption": "", "columns": ["run", "images"], "rows": [["a", 9]]}).columns[1]
            Column(head='images', kind='integer', digits=0)
        """
        cells = list(zip(*values["rows"])) or [()] * len(values["columns"])
        columns = [
            Column(**column) if isinstance(column, dict) else _column_of_earlier(column, cells[place])
            for place, column in enumerate(values["columns"])
        ]
        return cls(values["caption"], columns, values["rows"])


def _column_of_earlier(head: str, cells: Sequence[Cell]) -> Column:
    known = [cell for cell in cells if cell is not None]
    if any(isinstance(cell, str) for cell in known):
        return text(head)
    return integer(head) if all(isinstance(cell, int) for cell in known) else decimal(head)
