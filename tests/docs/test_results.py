"""The tables of results.md and README have the numbers of results-seeds.csv, and every set has its seeds."""

import re
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]
SEEDS = pd.read_csv(ROOT / "docs" / "results-seeds.csv")
LESS = "less the probe's"
README_COLUMNS = {
    "linear probe": ("probe (logistic regression)", "test error"),
    "`attend()`: probe and class attention": ("**class attention and probe**", "test error"),
    LESS: ("**class attention and probe**", LESS),
    "the same, uniform attention": ("uniform attention and probe", "test error"),
    "one learned query instead": ("one learned query and probe", "test error"),
}


def measured(name: str, row: str, measure: str) -> str:
    found = SEEDS[(SEEDS.set == name) & (SEEDS.row == row) & (SEEDS.measure == measure)].value
    assert len(found) >= 2, (name, row, measure)
    return f"{found.mean():.1f} ± {found.sem():.1f}"


def tables(page: str) -> list[tuple[list[str], list[list[str]]]]:
    """Headings and rows of each table."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()]
        found.append((head, rows))
    return found


def test_errors_of_heads_are_those_of_the_seeds():
    head, rows = next(table for table in tables("docs/results.md") if table[0][0] == "head")
    for row, *cells in rows:
        for name, cell in zip(head[1:], cells, strict=True):
            less = f" ({measured(name, row, LESS)})" if "probe (" not in row else ""
            assert cell.replace("**", "") == measured(name, row, "test error") + less, (row, name)


def test_measures_of_maps_are_those_of_the_seeds():
    checked = 0
    for head, rows in tables("docs/results.md"):
        kind, _, name = head[0].partition(", ")
        for row, *cells in rows if kind == "map" and name in set(SEEDS.set) else ():
            for measure, cell in zip(head[1:], cells, strict=True):
                checked += 1
                assert cell.replace("**", "") == measured(name, row, measure), (row, name, measure)
    assert checked >= 40


def test_readme_says_the_same():
    head, rows = next(table for table in tables("README.md") if table[0][0] == "images, seeds")
    for label, *cells in rows:
        name = next(name for name in SEEDS.set.unique() if label.startswith(name))
        assert int(label.split(", ")[-1]) == SEEDS[SEEDS.set == name].seed.nunique()
        for heading, cell in zip(head[1:], cells, strict=True):
            row, measure = README_COLUMNS[heading]
            assert cell.replace("**", "") == measured(name, row, measure), (name, heading)
