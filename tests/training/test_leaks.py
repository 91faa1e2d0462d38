"""Memory does not grow with the number of trainings, nor with epochs that draw panels."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
MEGABYTE = 1 << 20
SCRIPT = Path(__file__).parent / "training_memory.py"


def memory_after_each(what, folder, number):
    command = [sys.executable, str(SCRIPT), what, str(folder), str(number)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sizes = json.loads(done.stdout.splitlines()[-1])
    assert len(sizes) == number
    return sizes


def test_thirty_trainings_grow_by_less_than_a_megabyte_each(tmp_path):
    sizes = memory_after_each("trainings", tmp_path, 35)
    assert (sizes[-1] - sizes[4]) / 30 < MEGABYTE


def test_epochs_with_panels_grow_by_less_than_a_megabyte_each(tmp_path):
    # What is allocated once (fonts, compiled functions, heap that is used again) comes in the first epochs.
    sizes = memory_after_each("epochs", tmp_path, 25)
    assert (sizes[-1] - sizes[4]) / 20 < MEGABYTE
