"""kill -9 inside a save: the same command ends with the same bits as a run that nobody stops."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from doors import ROOT, digits_run, results, run_script

# train.py, with slow flushes to the disk: a file `saving` exists while one lasts.
PROGRAM = """
import os, pathlib, runpy, sys, time
fsync, marker = os.fsync, pathlib.Path("saving")
def slow(handle):
    marker.touch()
    time.sleep(0.05)
    fsync(handle)
    marker.unlink(missing_ok=True)
os.fsync = slow
sys.path.insert(0, sys.argv[1])
script, sys.argv = sys.argv[2], sys.argv[2:]
runpy.run_path(f"{sys.path[0]}/{script}", run_name="__main__")
"""


def start(place: Path, name: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(ROOT), *digits_run(name, "--strategy", "none")],
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait(process: subprocess.Popen, there) -> None:
    while process.poll() is None and not there():
        time.sleep(0.001)


def kill(place: Path, name: str) -> None:
    """Start the run or go on with it, and kill it inside a save after its next epoch."""
    marker, history = place / "saving", place / "runs" / name / "history.jsonl"
    epochs = history.read_text() if history.exists() else ""
    process = start(place, name)
    wait(process, lambda: history.exists() and history.read_text() != epochs)
    wait(process, marker.exists)
    assert process.poll() is None, "it was killed too late"
    process.kill()
    process.communicate()
    marker.unlink(missing_ok=True)


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_killed_run_ends_with_the_same_bits(digits, kills, monkeypatch):
    name = f"killed{kills}"
    for _ in range(kills):
        kill(digits, name)
    assert not (digits / "runs" / name / "metrics.json").exists()
    monkeypatch.chdir(digits)
    assert run_script(*digits_run(name, "--strategy", "none")) == 0
    whole, resumed = (results(digits / "runs" / run) for run in ("whole", name))
    assert [w.tobytes() for w in resumed[0]] == [w.tobytes() for w in whole[0]]
    assert resumed[1:] == whole[1:] and resumed[2]["steps"] == 15
