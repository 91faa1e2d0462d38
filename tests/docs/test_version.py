"""The version is the same wherever it is written."""

import re
from pathlib import Path

import attention_keras

ROOT = Path(__file__).parents[2]


def test_the_changelog_and_the_citation_are_of_this_version():
    heading = re.search(r"^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    citation = (ROOT / "CITATION.cff").read_text()
    assert heading[1] == attention_keras.__version__
    assert re.search(r"^version: (.+)$", citation, re.M)[1] == heading[1]
    assert re.search(r"^date-released: (.+)$", citation, re.M)[1] == heading[2]
