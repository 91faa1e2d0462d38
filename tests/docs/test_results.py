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


def cells(page: str) -> list[tuple[str, str, str, str]]:
    """Of each cell in a page's tables: the first column's head, the heads of row and column, what it says."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", (ROOT / page).read_text(encoding="utf-8"), re.M):
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()]
        (first, *head), _, *rows = lines
        for row, *values in rows:
            found += [(first, row, name, cell.replace("**", "")) for name, cell in zip(head, values)]
    return found


def test_errors_of_heads_and_measures_of_maps_are_those_of_the_seeds():
    checked, sets = {"head": 0, "map": 0}, set(SEEDS.set)
    for first, row, head, cell in cells("docs/results.md"):
        kind, _, name = first.partition(", ")
        expected = ""
        if kind == "head" and head in sets:
            less = f" ({measured(head, row, LESS)})" if "probe (" not in row else ""
            expected = measured(head, row, "test error") + less
        elif kind == "map" and name in sets:
            expected = measured(name, row, head)
        assert not expected or cell == expected, (first, row, head)
        checked[kind] = checked.get(kind, 0) + bool(expected)
    assert checked["head"] > 10 and checked["map"] >= 40


def test_readme_says_the_same():
    said = [cell for first, *cell in cells("README.md") if first == "images, seeds"]
    for label, head, cell in said:
        name = next(name for name in SEEDS.set.unique() if label.startswith(name))
        assert int(label.split(", ")[-1]) == SEEDS[SEEDS.set == name].seed.nunique()
        assert cell == measured(name, *README_COLUMNS[head]), (name, head)
    assert said
