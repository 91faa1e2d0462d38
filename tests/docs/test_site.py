"""The pages of docs/: each is in the navigation, its links lead somewhere, and no public name is missing."""

import importlib
import inspect
import re
from pathlib import Path
from urllib.parse import unquote

import attention_keras
from attention_keras.evaluation.options import TASKS, AllOptions
from attention_keras.runs.config import RunConfig

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


def prose(page: Path) -> str:
    """A page without its fenced code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def documented(page: Path) -> list[str]:
    """The names that mkdocstrings documents, a line `::: attention_keras.attend` each."""
    return re.findall(r"^::: (\S+)$", prose(page), re.M)


def anchors(page: Path) -> set[str]:
    """What may stand behind `#` in a link: headings, as GitHub names them, and what a page documents."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.M):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        found.add(f"{slug}-1" if slug in found else slug)
    return found | {*documented(page)}


def broken_links(page: Path) -> list[str]:
    """Relative links and images of a page that lead nowhere."""
    broken = []
    for link in re.findall(r"\]\(((?!\w+:)[^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page))):
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def test_the_navigation_is_the_pages():
    entries = re.findall(r"^ +- .+: (\S+\.md)\b", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    pages = [page.relative_to(DOCS).as_posix() for page in PAGES]
    assert sorted(entries) == sorted(["CONTRIBUTING.md", "examples/tutorial.md", *pages])


def test_every_link_leads_somewhere(tmp_path):
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES, *(ROOT / "examples").rglob("*.md")]
    broken = {page.relative_to(ROOT).as_posix(): broken_links(page) for page in pages}
    assert {page: links for page, links in broken.items() if links} == {}
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n## Two\n## Two\n```\n# no heading, and [no link](code.md)\n```\n"
        "[a](page.md#two-1) [b](#one) [c](https://example.org) `[d](code.md)`\n"
        "[e](gone.md) ![f](gone.png) [g](#two-2) [h](page.md#no-heading-and-no-link)\n",
        encoding="utf-8",
    )
    assert broken_links(page) == ["gone.md", "gone.png", "#two-2", "page.md#no-heading-and-no-link"]


def test_every_public_name_and_every_group_of_options_is_in_the_reference():
    found = []
    for name in (name for page in PAGES for name in documented(page)):
        module, _, attribute = name.rpartition(".")
        found.append(getattr(importlib.import_module(module), attribute))
    for module in (attention_keras, attention_keras.layers, attention_keras.heads):
        values = {name: getattr(module, name) for name in module.__all__}
        assert [n for n, value in values.items() if not inspect.ismodule(value) and value not in found] == []
    assert {RunConfig, AllOptions, *AllOptions.__mro__[1:-1], *TASKS.values()} <= {*found}


def test_the_changelog_and_the_citation_are_of_this_version():
    version, day = re.search(r"^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.M).groups()
    citation = (ROOT / "CITATION.cff").read_text()
    assert version == attention_keras.__version__
    assert f"\nversion: {version}\n" in citation and f"\ndate-released: {day}\n" in citation
