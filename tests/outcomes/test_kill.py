"""kill -9 at random moments: the same command ends with the same bits as a run that nobody stops.

One kill, inside a save, runs by default; runs that are killed again and again run under `slow`.
"""

import random
import signal
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


def kill(place: Path, name: str, seconds: float, inside_a_save: bool) -> None:
    """Start the run or go on with it; kill it so long after its first epoch, or at the save after that."""
    marker, history = place / "saving", place / "runs" / name / "history.jsonl"
    epochs = history.read_text() if history.exists() else ""
    process = start(place, name)
    wait(process, lambda: history.exists() and history.read_text() != epochs)
    time.sleep(seconds)
    if inside_a_save:
        wait(process, marker.exists)
    assert process.poll() is None, "it was killed too late"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    marker.unlink(missing_ok=True)


def complete(place: Path, name: str) -> None:
    """Go on with the run to its end, and compare it with the one that nobody stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert run_script(*digits_run(name, "--strategy", "none")) == 0
    whole, resumed = (results(place / "runs" / run) for run in ("whole", name))
    assert [w.tobytes() for w in resumed[0]] == [w.tobytes() for w in whole[0]]
    assert resumed[1:] == whole[1:] and resumed[2]["steps"] == 15


def test_a_killed_run_ends_with_the_same_bits(digits):
    kill(digits, "killed", 0, inside_a_save=True)
    assert not (digits / "runs" / "killed" / "metrics.json").exists()
    complete(digits, "killed")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(digits, seed):
    moments, name = random.Random(seed), f"killed{seed}"
    ends = []
    for number in range(3):
        process = start(digits, name)
        time.sleep(moments.uniform(4, 14))
        if (seed + number) % 2:
            wait(process, (digits / "saving").exists)
        process.kill()  # on a fast machine the last one may have ended before
        process.communicate()
        ends.append(process.returncode)
        (digits / "saving").unlink(missing_ok=True)
    assert -signal.SIGKILL in ends
    complete(digits, name)
