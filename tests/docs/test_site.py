"""The pages of docs/: each is in the navigation, its links lead somewhere, and no public name is missing."""

import ast
import dataclasses
import importlib
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from attention_keras.evaluation.options import TASKS, AllOptions
from attention_keras.runs.options import TrainOptions

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
# The names that mkdocstrings documents, a line `::: attention_keras.attend` each.
DOCUMENTED = [
    name for page in PAGES for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.M)
]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    """A page without its fenced code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """What may stand behind `#` in a link to a page: its headings, and the names that it documents."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.M):
        name, count = slug(heading), 0
        while (numbered := f"{name}-{count}" if count else name) in found:
            count += 1
        found.add(numbered)
    return found | set(re.findall(r"^::: (\S+)$", prose(page), re.M))


def broken_links(page: Path) -> list[str]:
    """Relative links and images of a page that lead nowhere."""
    broken = []
    for link in LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page))):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def test_the_navigation_is_the_pages():
    entries = re.findall(r"^ +- .+: (\S+\.md)\b", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    assert sorted(entries) == sorted(
        ["CONTRIBUTING.md", *(page.relative_to(DOCS).as_posix() for page in PAGES)]
    )


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES, *sorted((ROOT / "examples").rglob("*.md"))],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_every_link_leads_somewhere(page):
    assert broken_links(page) == []


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("attend-to: training where to look", "attend-to-training-where-to-look"),
        ("1. A run, exported", "1-a-run-exported"),
        ("The `.keras` file & its [safe mode](x.md)", "the-keras-file--its-safe-mode"),
    ],
)
def test_anchors_are_github_s(heading, anchor):
    assert slug(heading) == anchor


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n## Two\n## Two\n```\n# no heading, and [no link](code.md)\n```\n"
        "[a](page.md#two-1) [b](#one) [c](https://example.org) `[d](code.md)`\n"
        "[e](gone.md) ![f](gone.png) [g](#two-2) [h](page.md#no-heading-and-no-link)\n",
        encoding="utf-8",
    )
    assert broken_links(page) == ["gone.md", "gone.png", "#two-2", "page.md#no-heading-and-no-link"]


@pytest.mark.parametrize("module", ["attention_keras", "attention_keras.layers"])
def test_every_public_name_is_in_the_reference(module):
    stub = ast.parse((ROOT / module.replace(".", "/") / "__init__.pyi").read_text(encoding="utf-8"))
    (names,) = [ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign)]
    objects = [resolve(name) for name in DOCUMENTED]
    assert [name for name in names if resolve(f"{module}.{name}") not in objects] == []


def test_every_group_of_options_is_in_the_reference():
    groups = [type(getattr(TrainOptions(), field.name)) for field in dataclasses.fields(TrainOptions)]
    kinds = {TrainOptions, *groups, AllOptions, *AllOptions.__mro__[1:-1], *TASKS.values()}
    assert kinds <= {resolve(name) for name in DOCUMENTED}


def resolve(name: str):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)
