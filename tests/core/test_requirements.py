"""The core brings three packages, and requirements.txt bounds what the extras name."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
BOUNDED = [
    line
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def names(requirements):
    return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}


def unfolded(extra):
    """Every requirement of an extra, those of the extras that it names among them."""
    found = set()
    for requirement in EXTRAS[extra]:
        nested = re.fullmatch(r"attention-keras\[([\w-]+)\]", requirement)
        found |= unfolded(nested[1]) if nested else {requirement}
    return found


def test_the_core_is_three_packages_without_upper_bounds():
    assert names(PROJECT["dependencies"]) == {"keras", "numpy", "lazy-loader"}
    assert all(re.fullmatch(r"[\w-]+>=[\d.]+", requirement) for requirement in PROJECT["dependencies"])


def test_requirements_bound_the_core_and_all_extras():
    assert names(BOUNDED) == names(PROJECT["dependencies"]) | names(unfolded("all"))
    assert all(re.fullmatch(r"[\w-]+(<[\d.]+)?", requirement) for requirement in BOUNDED)


def test_evaluation_needs_what_training_needs_and_training_exports():
    assert unfolded("serve") < unfolded("train") < unfolded("evaluate") == unfolded("all")
