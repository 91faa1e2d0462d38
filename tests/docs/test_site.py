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
        ["CONTRIBUTING.md", "examples/tutorial.md", *(page.relative_to(DOCS).as_posix() for page in PAGES)]
    )


def test_every_link_leads_somewhere():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES, *(ROOT / "examples").rglob("*.md")]
    broken = {page.relative_to(ROOT).as_posix(): broken_links(page) for page in pages}
    assert {page: links for page, links in broken.items() if links} == {}


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n## Two\n## Two\n```\n# no heading, and [no link](code.md)\n```\n"
        "[a](page.md#two-1) [b](#one) [c](https://example.org) `[d](code.md)`\n"
        "[e](gone.md) ![f](gone.png) [g](#two-2) [h](page.md#no-heading-and-no-link)\n",
        encoding="utf-8",
    )
    assert broken_links(page) == ["gone.md", "gone.png", "#two-2", "page.md#no-heading-and-no-link"]


def test_every_public_name_is_in_the_reference():
    objects = [resolve(name) for name in DOCUMENTED]
    public = [("attention_keras", attention_keras), ("attention_keras.layers", attention_keras.layers)]
    public.append(("attention_keras.heads", attention_keras.heads))
    names = {f"{home}.{name}": getattr(module, name) for home, module in public for name in module.__all__}
    assert [n for n, value in names.items() if not inspect.ismodule(value) and value not in objects] == []


def test_every_group_of_options_is_in_the_reference():
    kinds = {RunConfig, AllOptions, *AllOptions.__mro__[1:-1], *TASKS.values()}
    assert kinds <= {resolve(name) for name in DOCUMENTED}


def resolve(name: str):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def test_the_changelog_and_the_citation_are_of_this_version():
    heading = re.search(r"^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    citation = (ROOT / "CITATION.cff").read_text()
    assert heading[1] == attention_keras.__version__
    assert re.search(r"^version: (.+)$", citation, re.M)[1] == heading[1]
    assert re.search(r"^date-released: (.+)$", citation, re.M)[1] == heading[2]
