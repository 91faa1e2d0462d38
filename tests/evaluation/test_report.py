"""The report: one file, nothing fetched, nothing run; results of earlier versions are shown too."""

import json
import re

import numpy as np
from report_page import Page

from attention_keras.drawing.canvas import png
from attention_keras.evaluation.report.html import write_report
from attention_keras.evaluation.report.result import Figure, Gallery, TaskResult
from attention_keras.evaluation.report.store import write_result
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
    write_result(result, tmp_path)
    written = write_report(tmp_path).read_text()
    page = Page(written)
    assert page.open == [] and "b" not in page.seen and not {"script", "link"} & set(page.seen)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert page.links == ["#query"] and len(page.sources) == 1
    assert "&lt;script&gt;" in written and re.search(r"<td>-</td>", written) and "Q &amp; A" in written
    assert json.loads((tmp_path / "query.json").read_text())["values"] == {"x": None, "y": [0, 1]}
    assert (tmp_path / "query-odd-name.png").exists()


def test_a_section_opens_with_its_galleries(tmp_path):
    answers = [
        Figure("00", PIXELS, "true: a predicted: b", right=False),
        Figure("01", PIXELS, "true: a predicted: a", right=True),
    ]
    result = TaskResult(
        "classification",
        "Classification",
        {},
        galleries=[Gallery("Wrong & right", "panels/demo", answers)],
        tables=[Table("Test error", [text("run")], [["demo"]])],
        figures=[Figure("confusion", PIXELS, "confusion matrix")],
    )
    write_result(result, tmp_path)
    assert (tmp_path / "panels" / "demo" / "01.png").exists()
    page = write_report(tmp_path).read_text()
    parts = ["<h3>Wrong &amp; right</h3>", 'class="wrong"', 'class="right"', "<caption>", "confusion matrix"]
    places = [page.index(part) for part in parts]
    assert places == sorted(places) and len(Page(page).sources) == 3


def test_a_figure_outside_the_folder_is_not_read(tmp_path):
    (tmp_path / "secret.png").write_bytes(png(PIXELS))
    folder = tmp_path / "results"
    folder.mkdir()
    write_result(TaskResult("maps", "Maps", {}, figures=[Figure("grid", PIXELS, "grid")]), folder)
    values = json.loads((folder / "maps.json").read_text())
    values["figures"][0]["file"] = "../secret.png"
    (folder / "maps.json").write_text(json.dumps(values))
    assert Page(write_report(folder).read_text()).sources == []


def test_results_of_an_earlier_version(tmp_path):
    """Heads were strings, cells were as shown, and there were no galleries."""
    earlier = {
        "task": "classification",
        "title": "Classification",
        "about": "demo on cluttered_digits",
        "notes": ["a note"],
        "warnings": [],
        "tables": [
            {
                "caption": "Test error",
                "columns": ["run", "error", "images", "parameters", "area"],
                "rows": [["demo", "4.80%", 2000, None, 0.123456], ["other", "5.10%", 2000, 1234567, None]],
            },
            {"caption": "empty", "columns": ["run"], "rows": []},
        ],
        "figures": [{"file": "classification-confusion.png", "caption": "confusion", "small": True}],
        "values": {},
    }
    (tmp_path / "classification.json").write_text(json.dumps(earlier))
    (tmp_path / "classification-confusion.png").write_bytes(png(PIXELS))
    written = write_report(tmp_path).read_text()
    page = Page(written)
    assert page.open == [] and len(page.sources) == 1
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", written)
    assert cells == ["demo", "4.80%", "2,000", "-", "0.123", "other", "5.10%", "2,000", "1,234,567", "-"]
