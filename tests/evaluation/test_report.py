"""Tables in every form, and the report: one file, nothing fetched or run, the numbers above the images."""

import csv
import io
import json
import re

import numpy as np

from attention_keras.drawing.cells import png
from attention_keras.evaluation import table as tables
from attention_keras.evaluation.options import TASKS
from attention_keras.evaluation.result import Figure, TaskResult, write_report, write_result
from attention_keras.evaluation.table import DECIMAL, INTEGER, TEXT, Table

PIXELS = np.zeros((2, 2, 3), "uint8")


def report(folder, **results):
    for task, result in results.items():
        write_result(task, result, folder, ["demo on digits", "evaluate.py <demo>"])
    return write_report(folder, list(TASKS)).read_text()


def test_one_table_in_every_form():
    table = Table(
        "a < b",
        {"run": TEXT, "error": ".2%", "images": INTEGER, "area": DECIMAL},
        [["<one>", 0.04803, 2000, 0.123456], ["other", None, 7, float("nan")], ["both", (0.02, 0.1), 1e6, 3]],
    )
    assert tables.to_terminal(table).splitlines() == [
        "run             error       images   area",
        "<one>           4.80%        2,000  0.123",
        "other               -            7      -",
        "both   2.00% ± 10.00%  1,000,000.0  3.000",
    ]
    assert "| <one> | 4.80% | 2,000 | 0.123 |\n| other |  | 7 |  |\n" in tables.to_markdown(table)
    assert "&lt;one&gt;</td><td>4.80%</td><td>2,000</td><td>0.123</td></tr>" in tables.to_html(table)
    rows = list(csv.reader(io.StringIO(tables.to_csv(table.columns, table.rows))))  # the plain values
    assert rows[1] == ["<one>", "0.04803", "2000", "0.123456"] and rows[2] == ["other", "", "7", ""]
    assert rows[3] == ["both", "0.02", "1000000.0", "3"]


def test_a_section_opens_with_what_was_measured_and_its_numbers(tmp_path):
    """Text is escaped, missing numbers are dashes, and nothing is fetched or run."""
    result = TaskResult(
        "Q & A",
        {"x": np.float32("nan"), "y": np.arange(2)},
        tables=[Table("a < b", {"run": TEXT, "value": DECIMAL}, [["<script>x</script>", float("nan")]])],
        galleries={"Wrong": [Figure("", PIXELS, "a/1.png", right=False, title="true: a predicted: b")]},
        figures=[Figure("odd / name", PIXELS, 'a "quoted" caption')],
        notes=["<b>"],
    )
    page = report(tmp_path, query=result)
    assert not re.search("<(b|script|link)[ >]", page) and re.findall('href="(.*?)"', page) == ["#query"]
    assert [source[:22] for source in re.findall('src="(.*?)"', page)] == ["data:image/png;base64,"] * 2
    parts = ["Q &amp; A", "demo on digits", "&lt;demo&gt;", "<caption>", "&lt;script&gt;", "<td>-</td>"]
    parts += ['class="wrong"', "true: a predicted: b", "a/1.png", "a &quot;quoted&quot; caption"]
    positions = [page.index(part) for part in parts]
    assert positions == sorted(positions)
    assert json.loads((tmp_path / "query.json").read_text())["values"] == {"x": None, "y": [0, 1]}


def test_a_figure_outside_the_folder_is_not_read(tmp_path):
    (tmp_path / "secret.png").write_bytes(png(PIXELS))
    folder = tmp_path / "results"
    folder.mkdir()
    assert "src=" in report(folder, maps=TaskResult("Maps", {}, figures=[Figure("grid", PIXELS, "grid")]))
    file = folder / "maps.json"
    file.write_text(file.read_text().replace("maps-grid.png", "../secret.png"))
    assert "src=" not in report(folder)
