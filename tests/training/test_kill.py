"""kill -9 at random moments: the same command ends with the same bits.

One kill, inside a save, runs by default; eight runs that are killed five times each run under `slow`.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FLAGS = [
    *["--limit", "75", "--batch-size", "16", "--epochs", "4", "--panels", "0"],
    *["--precision", "float32", "--augment", "flip", "--dropout", "True", "--deterministic", "--no-export"],
    *["--checkpoint-every", "2", "--attend-to", "1", "--attend-to-fraction", "0.5"],
]
STEPS = 4 * 5


def start(directory, marker):
    command = [
        sys.executable,
        str(HERE / "small_network.py"),
        *FLAGS,
        "--run-dir",
        str(directory),
        "--name",
        "run",
    ]
    return subprocess.Popen(
        command,
        env=os.environ | {"SAVING_MARKER": str(marker), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(directory):
    """What must be the same: weights to the bit, step count, history and metrics without times.

    Nor the commit: someone may make one between two runs.
    """
    from attention_keras import load_model

    path = directory / "run"
    weights = load_model(path / "model.keras").get_weights()
    metrics = json.loads((path / "metrics.json").read_text())
    history = [json.loads(line) for line in (path / "history.jsonl").read_text().splitlines()]
    timing = ("time", "images_per_second", "seconds", "commit")
    assert metrics["steps"] == STEPS
    return (
        [w.tobytes() for w in weights],
        {k: v for k, v in metrics.items() if k not in timing},
        [{k: v for k, v in line.items() if k not in timing} for line in history],
    )


def finish(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The outcome of a run nobody kills, and when its training began and ended, in seconds."""
    directory = tmp_path_factory.mktemp("whole")
    began = time.monotonic()
    process = start(directory, directory / "saving")
    while not (directory / "run" / "config.json").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    training = time.monotonic() - began
    finish(process)
    return outcome(directory), training, time.monotonic() - began


def kill(directory, moment, inside_a_save):
    """Start a run, or go on with it, and kill it after `moment` seconds (then at the next save, if asked)."""
    marker = directory / "saving"
    process = start(directory, marker)
    time.sleep(moment)
    while inside_a_save and process.poll() is None and not marker.exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    marker.unlink(missing_ok=True)


def check(uninterrupted, tmp_path, seed, kills):
    """Kill a run at random moments, every fourth time inside a save, and complete it."""
    expected, training, end = uninterrupted
    moments = random.Random(seed)
    for number in range(kills):
        # At most a third further each time: five kills come in all parts of the training, up to its end.
        moment = moments.uniform(training, training + (end - training) / 3)
        kill(tmp_path, moment, inside_a_save=(seed + number) % 4 == 0)
    finish(start(tmp_path, tmp_path / "saving"))
    assert outcome(tmp_path) == expected


def test_a_killed_run_ends_with_the_same_bits(uninterrupted, tmp_path):
    check(uninterrupted, tmp_path, seed=0, kills=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(uninterrupted, tmp_path, seed):
    check(uninterrupted, tmp_path, seed, kills=5)
