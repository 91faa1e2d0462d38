"""Numbers stay numbers until they are shown: one table as terminal text, Markdown, HTML and CSV."""

import csv
import io
from dataclasses import asdict

import pytest

from attention_keras.evaluation.report.table import (
    Spread,
    Table,
    decimal,
    integer,
    percent,
    text,
    to_csv,
    to_html,
    to_markdown,
    to_terminal,
)

TABLE = Table(
    "a < b",
    [text("run"), percent("error", 2), integer("images"), decimal("area")],
    [["<one>", 0.04803, 2000, 0.123456], ["other", None, 7, float("nan")]],
)


def test_one_table_in_every_form():
    assert to_terminal(TABLE).splitlines() == [
        "run    error  images   area",
        "<one>  4.80%   2,000  0.123",
        "other      -       7      -",
    ]
    assert to_markdown(TABLE).splitlines() == [
        "| run | error | images | area |",
        "|---|---:|---:|---:|",
        "| <one> | 4.80% | 2,000 | 0.123 |",
        "| other |  | 7 |  |",
    ]
    page = to_html(TABLE)
    assert "<caption>a &lt; b</caption>" in page and '<th class="text">run</th><th>error</th>' in page
    assert '<tr><td class="text">&lt;one&gt;</td><td>4.80%</td><td>2,000</td><td>0.123</td></tr>' in page
    rows = list(csv.reader(io.StringIO(to_csv(TABLE))))  # the plain values
    assert rows[0] == ["run", "error", "images", "area"]
    assert rows[1:] == [["<one>", "0.04803", "2000", "0.123456"], ["other", "", "7", ""]]
    again = Table.from_dict(asdict(TABLE))
    assert (again.caption, again.columns, again.rows[0]) == (TABLE.caption, TABLE.columns, TABLE.rows[0])


def test_large_numbers_and_spreads():
    assert decimal("x", 0).show(1234567.8) == "1,234,568"
    spread = Spread.of([1.0, 2.0, 4.0])
    assert spread.deviation == pytest.approx(1.5275, abs=1e-4)
    assert decimal("x", 2).show(spread) == "2.33 ± 1.53"
    assert decimal("x", 1).show(Spread.of([3.0])) == "3.0"
    assert to_csv(Table("", [decimal("x", 1)], [[Spread.of([3.0, 5.0])]])) == "x\n4.0\n"
