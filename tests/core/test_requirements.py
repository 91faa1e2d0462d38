"""The core brings three packages, and requirements.txt bounds what the extras name."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names(requirements):
    return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}


def unfolded(extra):
    """Every requirement of an extra, those of the extras that it names among them."""
    found = set()
    for requirement in PROJECT["optional-dependencies"][extra]:
        nested = re.fullmatch(r"attention-keras\[([\w-]+)\]", requirement)
        found |= unfolded(nested[1]) if nested else {requirement}
    return found


def test_the_core_is_three_packages_and_all_of_all_extras_are_bounded():
    core = PROJECT["dependencies"]
    assert names(core) == {"keras", "numpy", "lazy-loader"}
    assert all(re.fullmatch(r"[\w-]+>=[\d.]+", requirement) for requirement in core)
    bounded = re.findall(r"^(?!#).+$", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.M)
    assert names(bounded) == names(core) | names(unfolded("all"))
    assert all(re.fullmatch(r"[\w-]+(<[\d.]+)?", requirement) for requirement in bounded)
    # Evaluation needs what training needs, and training exports.
    assert unfolded("serve") < unfolded("train") < unfolded("evaluate") == unfolded("all")
