"""The report: one file, nothing fetched, nothing run, the numbers above the images."""

import json
import re

import numpy as np
from report_page import Page

from attention_keras.drawing.canvas import png
from attention_keras.evaluation.options import TASKS
from attention_keras.evaluation.report.html import write_report
from attention_keras.evaluation.report.result import Figure, Gallery, TaskResult, write_result
from attention_keras.evaluation.report.table import Table, decimal, text

PIXELS = np.zeros((2, 2, 3), "uint8")


def test_text_is_escaped_and_missing_numbers_are_dashes(tmp_path):
    rows = [["<script>x</script>", float("nan")], ["other", 0.25]]
    table = Table("a < b", [text("run"), decimal("value")], rows)
    result = TaskResult(
        "query",
        "Q & A",
        {"x": np.float32("nan"), "y": np.arange(2)},
        tables=[table],
        figures=[Figure("odd / name", PIXELS, 'a "quoted" caption')],
        notes=["<b>"],
    )
    write_result(result, tmp_path, ["demo on digits", "evaluate.py <demo>"])
    written = write_report(tmp_path, list(TASKS)).read_text()
    page = Page(written)
    assert page.open == [] and "b" not in page.seen and not {"script", "link"} & set(page.seen)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert page.links == ["#query"] and len(page.sources) == 1
    assert "&lt;script&gt;" in written and re.search(r"<td>-</td>", written) and "Q &amp; A" in written
    assert json.loads((tmp_path / "query.json").read_text())["values"] == {"x": None, "y": [0, 1]}
    assert (tmp_path / "query-odd-name.png").exists()


def test_a_section_opens_with_what_was_measured_and_its_numbers(tmp_path):
    answers = [
        Figure("00", PIXELS, "a/1.png", right=False, title="true: a predicted: b"),
        Figure("01", PIXELS, "", right=True, title="true: a predicted: a"),
    ]
    result = TaskResult(
        "classification",
        "Classification",
        {},
        galleries=[Gallery("Wrong & right", "panels/demo", answers)],
        tables=[Table("Test error", [text("run")], [["demo"]])],
        figures=[Figure("confusion", PIXELS, "confusion matrix")],
    )
    write_result(result, tmp_path, ["demo on digits", "evaluate.py <demo>"])
    assert (tmp_path / "panels" / "demo" / "01.png").exists()
    page = write_report(tmp_path, list(TASKS)).read_text()
    parts = ["demo on digits", "&lt;demo&gt;", "<caption>", "<h3>Wrong &amp; right</h3>"]
    parts += ['class="wrong"', "true: a predicted: b", "a/1.png", 'class="right"', "confusion matrix"]
    positions = [page.index(part) for part in parts]
    assert positions == sorted(positions) and len(Page(page).sources) == 3


def test_a_figure_outside_the_folder_is_not_read(tmp_path):
    (tmp_path / "secret.png").write_bytes(png(PIXELS))
    folder = tmp_path / "results"
    folder.mkdir()
    write_result(TaskResult("maps", "Maps", {}, figures=[Figure("grid", PIXELS, "grid")]), folder, [])
    values = json.loads((folder / "maps.json").read_text())
    values["figures"][0]["file"] = "../secret.png"
    (folder / "maps.json").write_text(json.dumps(values))
    assert Page(write_report(folder, list(TASKS)).read_text()).sources == []
