"""The tutorial: what is committed reads well, and its code runs and keeps its promises, without Jupyter."""

import json
import re
from pathlib import Path

import pytest

import attention_keras

NOTEBOOK = Path(__file__).parents[2] / "examples" / "tutorial.ipynb"
AS_COMMITTED, QUICK = "PIECES = 400 ", "PIECES = 20 "
ABSOLUTE_PATH = re.compile(r"""(?:^|[\s"'(=\[<])(/\w[\w.-]*/|~/|[A-Z]:\\)""", re.MULTILINE)

# What the cells promise, of the names that they leave.
CHECKS = """
assert (len(train[0]), len(test[0]), e.total.shape) == (100, 200, (1, 300, 451))
assert all(abs(level.astype("float64").sum() - 1) < 1e-5 for level in e.attention.values())
assert abs(evidence + rest - (logits.max() - logits.mean())) < 1e-4
assert abs(why.total.sum() + why.rest[0] - difference) < 1e-4
assert again.class_names == ["cat", "coffee", "astronaut", "flower", "temple"]
assert sorted(shares) == sorted(again.class_names) and np.abs(again.total - e.total).max() < 1e-6
"""


def source(cell):
    return "".join(cell["source"])


CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


def test_what_is_committed():
    """As it ran, small, without a word of the machine, and with public names alone."""
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    outputs = [output for cell in CODE for output in cell["outputs"]]
    said = {(output["output_type"], output.get("name")) for output in outputs}
    assert said == {("stream", "stdout"), ("display_data", None)}
    pictures = [out["data"].pop("image/png") for out in outputs if "image/png" in out.get("data", {})]
    assert len(pictures) == 3
    assert sum(AS_COMMITTED in source(cell) for cell in CODE) == 1  # not a quick try
    assert NOTEBOOK.stat().st_size < 600_000
    assert not ABSOLUTE_PATH.search(json.dumps(CELLS, ensure_ascii=False).replace("\\n", "\n"))
    imported = [names for cell in CODE for names in re.findall("from attention_keras(.*)", source(cell))]
    names = {name for words in imported for name in words.removeprefix(" import ").split(", ")}
    assert names and names <= set(attention_keras.__all__)


@pytest.mark.slow
def test_its_code_runs(fresh_process):
    cells = [source(cell).replace(AS_COMMITTED, QUICK) for cell in CODE]
    strict = "import warnings\nwarnings.simplefilter('error', UserWarning)"
    fresh_process("\n".join([strict, *cells, CHECKS]))
