"""A worker whose companions are not there says whom it waits for, and can be ended meanwhile."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ADDRESSES = ["127.0.0.1:47113", "127.0.0.1:47114"]
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have switched it off
from attention_keras.training.strategy import build_strategy, scope, wait_for_workers
strategy = build_strategy("multi_worker", lambda line: print(line, flush=True))
print("together", flush=True)
input()
with scope(strategy):
    wait_for_workers(strategy)
"""


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
def test_it_says_whom_it_waits_for_and_ctrl_c_ends_it():
    with worker(0) as process:
        assert end(process, signal.SIGINT) == -signal.SIGINT


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_while_another_is_late(number):
    with worker(0) as first, worker(1) as second:
        for process in (first, second):
            assert process.stdout.readline() == "together\n"
        first.stdin.write("\n")
        first.stdin.flush()
        assert end(first, number) == -number
