"""The Python of README.md and docs/ runs, in the order in which a reader meets it.

A block that cannot run here says why in a comment on the line before it: `<!-- not run: needs a server -->`.
Where a line ends in a comment that is a value, as in `len("ab")  # 2`, it is that value.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?```python\n(?P<code>.*?)^```$", re.M | re.S)
# What a page takes for granted: the reader's own model and images.
OWN = {
    "docs/evidence.md": """
import numpy as np
from attention_keras import build_model
model = build_model("vgg-att2-concat-pc", width=0.0625)
images = np.zeros((2, 32, 32, 3), "float32")
""",
    "docs/backbones.md": """
import keras
import numpy as np
from attention_keras import attend
layers = [keras.layers.Conv2D(4, 3, strides=2, name=name) for name in ("early", "late")]
backbone = keras.Sequential([keras.Input((16, 16, 3)), *layers])
backbone.trainable = False
model = attend(backbone, taps="auto", num_classes=7)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
images, labels = np.zeros((4, 16, 16, 3), "float32"), np.arange(4)
""",
}


def snippets(text: str) -> list[tuple[ast.Module, str, str | None]]:
    """The blocks of Python in a page with their code, and why one is not run; lines are those of the page."""
    found = []
    for block in BLOCK.finditer(text):
        code = "\n" * text.count("\n", 0, block.start("code")) + block["code"]
        found.append((ast.parse(code), code, block["reason"]))
    return found


def run(tree: ast.Module, code: str, file: str, namespace: dict) -> None:
    """Execute a block, and compare what it says with what comes."""
    for node in tree.body:
        line = code.splitlines()[node.end_lineno - 1].encode()
        comment = line[node.end_col_offset :].decode().strip()
        try:
            said = [ast.literal_eval(comment.removeprefix("#").strip())] if comment else []
        except (ValueError, SyntaxError):
            said = []
        if isinstance(node, ast.Expr) and said:
            value = eval(compile(ast.Expression(node.value), file, "eval"), namespace)
            assert value == said[0], f"{file}:{node.lineno} says {said[0]!r}, and it is {value!r}"
        else:
            exec(compile(ast.Module([node], []), file, "exec"), namespace)


PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
}
RUN = {file: found for file, text in PAGES.items() if (found := [s for s in snippets(text) if s[2] is None])}


@pytest.mark.parametrize("file", RUN)
def test_the_snippets_of_a_page_run(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "snippet"}
    exec(OWN.get(file, ""), namespace)
    for tree, code, _ in RUN[file]:
        run(tree, code, file, namespace)


def test_every_block_of_python_is_found_and_a_wrong_value_too():
    for file, page in PAGES.items():
        marked = re.findall(r"^\s*(?:```|~~~)[\s{.]*py", page, re.M | re.I)
        assert len(marked) == len(snippets(page)), file
    right, wrong, other = snippets(
        "```python\nx = 2\nx + 1  # 3\n```\n\n```python\nx  # (b, h)\nx + 1  # 4\n```\n"
        "<!-- not run: needs y -->\n```python\ny\n```\n"
    )
    namespace = {}
    run(*right[:2], "page.md", namespace)
    with pytest.raises(AssertionError, match=r"page\.md:8 says 4, and it is 3"):
        run(*wrong[:2], "page.md", namespace)
    assert other[2] == "needs y"
