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


# Features of 150 images, computed in forks of a process that has imported everything. All but the first and
# the last are killed. A file is written in two halves, so that kills come between them.
STORE = """
import io, os, random, signal, sys, time
from pathlib import Path
import numpy as np
from attention_keras.data.array_store import MapFiles

def slowly(file, array, save=np.save, **how):
    save(whole := io.BytesIO(), array, **how)
    half = len(whole.getvalue()) // 2
    file.write(whole.getvalue()[:half])
    file.flush()
    time.sleep(0.01)
    file.write(whole.getvalue()[half:])

def start(folder):
    def features(row):
        with (folder.parent / "begun").open("a") as begun:
            begun.write(f"{row} ")
        yield np.random.default_rng(row).normal(size=(20 + row, 170 - row, 4))

    process = os.fork()
    if not process:
        np.save = slowly
        MapFiles.kept(folder, 150, features)
        os._exit(0)
    return process

place, moments = Path(sys.argv[1]), random.Random(0)
assert os.waitpid(start(place / "whole"), 0)[1] == 0
(place / "begun").unlink()
for number in range(20):
    there = len(list(place.glob("killed/*")))
    process = start(place / "killed")
    while len(list(place.glob("killed/*"))) == there and os.waitpid(process, os.WNOHANG) == (0, 0):
        time.sleep(0.001)
    time.sleep(moments.uniform(0, 0.1))
    os.kill(process, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(process, 0)[1]), "it was killed too late"
assert os.waitpid(start(place / "killed"), 0)[1] == 0
"""


@pytest.mark.slow
def test_features_of_tiles_that_are_killed_again_and_again_are_those_of_one_process(tmp_path, fresh_process):
    fresh_process(STORE, str(tmp_path), cwd=ROOT)
    whole, killed = (
        {f.name: f.read_bytes() for f in (tmp_path / n).glob("*.npy")} for n in ("whole", "killed")
    )
    assert len(whole) == 150 and killed == whole
    begun = (tmp_path / "begun").read_text().split()
    assert set(begun) == set(map(str, range(150)))
    assert len(begun) <= 150 + 20  # a kill costs one image at most: what is there is not computed again
