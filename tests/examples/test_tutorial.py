"""The tutorial: what is committed reads well, and its code runs and keeps its promises, without Jupyter."""

import base64
import json
import re
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "tutorial.ipynb"
ALL_IMAGES, FEW_IMAGES = "IMAGES = None ", "IMAGES = 200 "
ABSOLUTE_PATH = re.compile(r"""(?:^|[\s"'(=\[<])(/\w[\w.-]*/|~/|[A-Z]:\\)""", re.MULTILINE)

RUN = """
import json, sys, warnings

warnings.simplefilter("error", UserWarning)
names = {"__name__": "__main__"}
for number, cell in enumerate(json.loads(sys.argv[1])):
    exec(compile(cell, f"code cell {number}", "exec"), names)
"""

# What is measured in the names that the cells leave.
FINDINGS = """
import json

count, logits64 = len(test), outputs["logits"].astype("float64")
sums = sum(maps.astype("float64").sum((1, 2)) for maps in evidence.values()) + outputs["evidence_rest"]
attended = [maps.sum((1, 2)) for maps in attention.values()]
found = {
    "scenes": [len(train), len(validation), count],
    "logits": logits64.shape,
    "attention": {tap: maps.shape for tap, maps in attention.items()},
    "evidence": {tap: maps.shape for tap, maps in evidence.items()},
    "evidence of both taps": both.shape,
    "attention from 1": float(np.abs(np.array(attended) - 1).max()),
    "sum": float(np.abs(sums - (logits64.max(1) - logits64.mean(1))).max()),
    "sum in the notebook": float(difference),
    "sum of both taps": float(np.abs(both.sum((1, 2)) + rest - sums).max()),
    "evidence ends": [float(both.min()), float(both.max())],
    "rather than": float(abs(places + why_rest - ahead)),
    "a mistake": bool(answer != truth and ahead > 0),
    "outputs": sorted(outputs),
    "loaded": {name: float(np.abs(np.asarray(after[name]) - before[name]).max()) for name in before},
}
print("\\n" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def notebook():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cell):
    return "".join(cell["source"])


def texts(value):
    """Every string in a JSON value, lines of a list together."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ["".join(value)]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for part in parts for text in texts(part)]


def test_it_is_committed_as_it_ran(notebook):
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"stream", "display_data", "execute_result"}
    assert {output["name"] for output in outputs if output["output_type"] == "stream"} == {"stdout"}
    pictures = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 4
    assert all(base64.b64decode("".join(picture)).startswith(b"\x89PNG") for picture in pictures)
    assert sum(ALL_IMAGES in source(cell) for cell in cells) == 1  # not a quick try


def test_it_is_small_and_says_nothing_of_the_machine_that_ran_it(notebook):
    assert NOTEBOOK.stat().st_size < 600_000
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in code_cells(notebook):
        for output in cell["outputs"]:
            output.get("data", {}).pop("image/png", None)
    words = texts(notebook)
    assert len(words) > 40
    assert [text for text in words if ABSOLUTE_PATH.search(text)] == []
    assert ABSOLUTE_PATH.search("File '/usr/lib/a.py'") and ABSOLUTE_PATH.search("in C:\\a")


def test_its_links_lead_to_files(notebook):
    links = [link for cell in notebook["cells"] for link in re.findall(r"\]\((\.\./[^)#]+)", source(cell))]
    assert len(links) >= 3
    assert [link for link in links if not (NOTEBOOK.parent / link).is_file()] == []


@pytest.mark.slow
def test_its_code_runs(notebook, fresh_process):
    cells = [source(cell).replace(ALL_IMAGES, FEW_IMAGES) for cell in code_cells(notebook)]
    said = fresh_process(RUN, json.dumps([*cells, FINDINGS]))
    found = json.loads(said.splitlines()[-1])
    assert found["scenes"] == [200, 40, 40] and found["logits"] == [40, 10]
    maps = {"block2b_add": [40, 16, 16], "block3b_add": [40, 8, 8]}
    assert found["attention"] == found["evidence"] == maps
    assert found["evidence of both taps"] == [40, 32, 32]
    assert found["attention from 1"] < 1e-5
    assert found["sum"] < 1e-4 and found["sum in the notebook"] < 1e-4
    assert found["sum of both taps"] < 1e-4
    low, high = found["evidence ends"]
    assert low < 0 < high
    assert found["rather than"] < 1e-4 and found["a mistake"]
    assert found["outputs"] == sorted(
        ["logits", "evidence_rest", *(f"{kind}_{tap}" for kind in ("attention", "evidence") for tap in maps)]
    )
    assert sorted(found["loaded"]) == found["outputs"]
    assert found["loaded"]["logits"] == 0 and max(found["loaded"].values()) < 1e-6
