"""A worker whose companions are not there says whom it waits for, and can be ended meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
ADDRESSES = ["127.0.0.1:47113", "127.0.0.1:47114"]
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have switched it off
from attention_keras.training.strategy import build_strategy
build_strategy("multi_worker", lambda line: print(line, flush=True))
"""


def test_it_says_whom_it_waits_for_and_ctrl_c_ends_it():
    task = {"cluster": {"worker": ADDRESSES}, "task": {"type": "worker", "index": 0}}
    environment = os.environ | {"TF_CONFIG": json.dumps(task), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment, text=True) as process:
        try:
            assert process.stdout.readline() == "waiting for 127.0.0.1:47114 (TF_CONFIG); Ctrl-C ends it\n"
            time.sleep(2)  # until TensorFlow waits
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == -signal.SIGINT
        finally:
            process.kill()
