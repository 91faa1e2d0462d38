"""Two real worker processes on loopback: they wait, equal one process, and are exact again after one dies."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from small_runs import read_history

from attention_keras import load_model

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("run_workers", ROOT / "examples/distributed/run_workers.py")
run_workers = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(run_workers)
run_workers.TRAIN = Path(__file__).parent / "small_network.py"

FLAGS = [
    *["--limit", "75", "--batch-size", "16", "--epochs", "3"],
    *["--optimizer", "sgd", "--learning-rate", "0.01", "--schedule", "constant", "--precision", "float32"],
    *["--deterministic", "--checkpoint-every", "2", "--attend-to", "1", "--attend-to-fraction", "0.5"],
    *["--ema", "0.9"],
]

ADDRESSES = ["127.0.0.1:47113", "127.0.0.1:47114"]
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have switched it off
from attention_keras.training.device import build_strategy, scope, wait_for_workers
strategy = build_strategy("multi_worker", lambda line: print(line, flush=True))
print("together", flush=True)
input()
with scope(strategy):
    wait_for_workers(strategy)
"""


def flags(directory, name):
    return [*FLAGS, "--run-dir", str(directory), "--export", str(directory / "exports"), "--name", name]


def variables(path):
    """Name -> value of every variable."""
    return {v.path: keras.ops.convert_to_numpy(v) for v in load_model(path / "model.keras").variables}


def assert_alike(expected, found, tolerance_of):
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        tolerance = tolerance_of(name)
        np.testing.assert_allclose(found[name], value, atol=tolerance, rtol=tolerance, err_msg=name)


@pytest.mark.slow
def test_two_workers_equal_one_process_and_survive_a_death(tmp_path):
    command = [sys.executable, str(run_workers.TRAIN), *flags(tmp_path, "single"), "--strategy", "none"]
    subprocess.run(command, check=True, capture_output=True)
    assert run_workers.wait(run_workers.start(2, flags(tmp_path, "two"))) == 0
    single, two = variables(tmp_path / "single"), variables(tmp_path / "two")
    # Keras computes a synchronised variance as a difference of two means, which costs a digit.
    assert_alike(single, two, lambda name: 1e-5 if "moving_variance" in name else 1e-6)
    assert [path.name for path in (tmp_path / "exports" / "two").iterdir()] == ["1"], "one worker exports"
    for alone, shared in zip(read_history(tmp_path / "single"), read_history(tmp_path / "two"), strict=True):
        assert alone == pytest.approx(shared, abs=1e-5)

    workers = run_workers.start(2, flags(tmp_path, "killed"))
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("checkpoints/*.safetensors")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    workers[1].kill()
    assert workers[0].wait(120) == 2  # one line, as after any mistake, and not an error of TensorFlow's
    assert run_workers.wait(workers) != 0
    assert run_workers.wait(run_workers.start(2, flags(tmp_path, "killed"))) == 0
    assert_alike(two, variables(tmp_path / "killed"), lambda name: 0)
    for whole, resumed in zip(read_history(tmp_path / "two"), read_history(tmp_path / "killed"), strict=True):
        # A running sum of the metrics is saved as the total over workers: its last bit may move.
        assert whole == pytest.approx(resumed, rel=1e-6)

    # All workers wait until the chief has thrown the earlier run away.
    assert run_workers.wait(run_workers.start(2, [*flags(tmp_path, "killed"), "--restart"])) == 0
    assert_alike(two, variables(tmp_path / "killed"), lambda name: 0)


@contextlib.contextmanager
def worker(index):
    """A process that looks for the other, and waits for it again when it is told to."""
    task = {"cluster": {"worker": ADDRESSES}, "task": {"type": "worker", "index": index}}
    environment = os.environ | {"TF_CONFIG": json.dumps(task), "PYTHONPATH": str(ROOT)}
    words, pipe = [sys.executable, "-c", PROGRAM], subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, env=environment, text=True) as process:
        try:
            waits = f"waiting for {ADDRESSES[1 - index]} (TF_CONFIG); Ctrl-C ends it\n"
            assert process.stdout.readline() == waits
            yield process
        finally:
            process.kill()


def end(process, number):
    """Send a signal to a process that waits; how it ended."""
    time.sleep(2)  # until TensorFlow waits
    assert process.poll() is None
    process.send_signal(number)
    return process.wait(20)


@pytest.mark.slow
def test_it_says_whom_it_waits_for_and_a_signal_ends_it_also_while_another_is_late():
    with worker(0) as process:
        assert end(process, signal.SIGINT) == -signal.SIGINT
    with worker(0) as first, worker(1) as second:
        for process in (first, second):
            assert process.stdout.readline() == "together\n"
        first.stdin.write("\n")
        first.stdin.flush()
        assert end(first, signal.SIGTERM) == -signal.SIGTERM
