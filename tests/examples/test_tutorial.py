"""The tutorial: what is committed reads well, and its code runs and keeps its promises, without Jupyter."""

import ast
import base64
import json
import re
from pathlib import Path

import pytest

import attention_keras

NOTEBOOK = Path(__file__).parents[2] / "examples" / "tutorial.ipynb"
AS_COMMITTED, QUICK = "PIECES = 400 ", "PIECES = 20 "
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

one = [level.astype("float64").sum() for level in e.attention.values()]
found = {
    "pieces": [len(train[0]), len(test[0])],
    "total": e.total.shape,
    "attention from 1": float(np.abs(np.array(one) - 1).max()),
    "sum": float(abs(evidence + rest - (logits.max() - logits.mean()))),
    "rather than": float(abs(why.total.sum() + why.rest[0] - difference)),
    "shares": sorted(shares),
    "loaded": [again.class_names, float(np.abs(again.total - e.total).max())],
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
    assert {output["output_type"] for output in outputs} == {"stream", "display_data"}
    assert {output["name"] for output in outputs if output["output_type"] == "stream"} == {"stdout"}
    pictures = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 3
    assert all(base64.b64decode("".join(picture)).startswith(b"\x89PNG") for picture in pictures)
    assert sum(AS_COMMITTED in source(cell) for cell in cells) == 1  # not a quick try


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


def test_it_uses_public_names_only(notebook):
    trees = [ast.parse(source(cell)) for cell in code_cells(notebook)]
    imports = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    own = [node for node in imports if node.module.startswith("attention_keras")]
    assert {node.module for node in own} == {"attention_keras"} and own[0] is trees[0].body[0]
    assert {alias.name for node in own for alias in node.names} <= set(attention_keras.__all__)


@pytest.mark.slow
def test_its_code_runs(notebook, fresh_process):
    cells = [source(cell).replace(AS_COMMITTED, QUICK) for cell in code_cells(notebook)]
    said = fresh_process(RUN, json.dumps([*cells, FINDINGS]))
    found = json.loads(said.splitlines()[-1])
    assert found["pieces"] == [100, 200]
    assert found["total"] == [1, 300, 451]
    assert found["attention from 1"] < 1e-5
    assert found["sum"] < 1e-4 and found["rather than"] < 1e-4
    names = ["cat", "coffee", "astronaut", "flower", "temple"]
    assert found["shares"] == sorted(names)
    assert found["loaded"][0] == names and found["loaded"][1] < 1e-6
