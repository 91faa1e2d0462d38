"""The Python of README.md and docs/ runs, in the order in which a reader meets it.

A block that cannot run here says why in a comment on the line before it: `<!-- not run: needs a server -->`.
Where a line ends in a comment that is a value, as in `len("ab")  # 2`, it is that value.
"""

import ast
import re
from pathlib import Path
from typing import NamedTuple

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


class Snippet(NamedTuple):
    line: int
    code: str
    reason: str | None


def snippets(text: str) -> list[Snippet]:
    """The blocks of Python in a page, with the number of the line before each."""
    return [
        Snippet(text.count("\n", 0, found.start("code")), found["code"], found["reason"])
        for found in BLOCK.finditer(text)
    ]


def run(snippet: Snippet, file: str, namespace: dict) -> None:
    """Execute a block, and compare what it says with what comes."""
    tree = ast.parse("\n" * snippet.line + snippet.code)
    for node in tree.body:
        said = stated_value(node, snippet)
        if said is None:
            exec(compile(ast.Module([node], []), file, "exec"), namespace)
        else:
            value = eval(compile(ast.Expression(node.value), file, "eval"), namespace)
            assert value == said[0], f"{file}:{node.lineno} says {said[0]!r}, and it is {value!r}"


def stated_value(node: ast.stmt, snippet: Snippet) -> tuple | None:
    """The value in the comment behind an expression, in a tuple; None where there is none."""
    line = snippet.code.splitlines()[node.end_lineno - snippet.line - 1]
    comment = line.encode()[node.end_col_offset :].decode().strip()
    if not isinstance(node, ast.Expr) or not comment.startswith("#"):
        return None
    try:
        return (ast.literal_eval(comment[1:].strip()),)
    except (ValueError, SyntaxError):
        return None


PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
}
FILES = {file: found for file, text in PAGES.items() if (found := snippets(text))}


@pytest.mark.parametrize("file", [file for file in FILES if any(s.reason is None for s in FILES[file])])
def test_the_snippets_of_a_page_run(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "snippet"}
    exec(OWN.get(file, ""), namespace)
    for snippet in FILES[file]:
        if snippet.reason is None:
            run(snippet, file, namespace)


def test_every_block_of_python_is_found_and_is_python():
    for file, page in PAGES.items():
        found = FILES.get(file, [])
        assert len(re.findall(r"^\s*(?:```|~~~)[\s{.]*py", page, re.M | re.I)) == len(found), file
        for snippet in found:
            compile("\n" * snippet.line + snippet.code, file, "exec")


def test_a_wrong_value_is_found_and_a_mark_is_read():
    right, wrong, marked = snippets(
        "```python\nx = 2\nx + 1  # 3\n```\n\n```python\nx  # (b, h)\nx + 1  # 4\n```\n"
        "<!-- not run: needs y -->\n```python\ny\n```\n"
    )
    namespace = {}
    run(right, "page.md", namespace)
    with pytest.raises(AssertionError, match=r"page\.md:8 says 4, and it is 3"):
        run(wrong, "page.md", namespace)
    assert marked.reason == "needs y"
