"""Two real worker processes on loopback: equal to one process, and exact again after one dies."""

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("run_workers", ROOT / "examples/distributed/run_workers.py")
run_workers = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(run_workers)
run_workers.TRAIN = Path(__file__).parent / "small_network.py"

FLAGS = [
    *["--limit", "75", "--batch-size", "16", "--epochs", "3", "--panels", "0"],
    *["--optimizer", "sgd", "--learning-rate", "0.01", "--schedule", "constant", "--precision", "float32"],
    *["--deterministic", "--no-export", "--checkpoint-every", "2"],
]


def flags(directory, name):
    return [*FLAGS, "--run-dir", str(directory), "--name", name]


def weights(path):
    return keras.models.load_model(path / "model.keras", compile=False).get_weights()


def history(path):
    lines = [json.loads(line) for line in (path / "history.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("time", "images_per_second")} for line in lines]


@pytest.mark.slow
def test_two_workers_equal_one_process_and_survive_a_death(tmp_path):
    command = [sys.executable, str(run_workers.TRAIN), *flags(tmp_path, "single"), "--strategy", "none"]
    subprocess.run(command, check=True, capture_output=True)
    assert run_workers.wait(run_workers.start(2, flags(tmp_path, "two"))) == 0
    for single, two in zip(weights(tmp_path / "single"), weights(tmp_path / "two"), strict=True):
        np.testing.assert_allclose(single, two, atol=1e-6, rtol=1e-6)
    for single, two in zip(history(tmp_path / "single"), history(tmp_path / "two"), strict=True):
        assert single == pytest.approx(two, abs=1e-5)

    workers = run_workers.start(2, flags(tmp_path, "killed"))
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("checkpoints/*.safetensors")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    workers[1].kill()
    assert run_workers.wait(workers) != 0
    assert run_workers.wait(run_workers.start(2, flags(tmp_path, "killed"))) == 0
    for whole, killed in zip(weights(tmp_path / "two"), weights(tmp_path / "killed"), strict=True):
        np.testing.assert_array_equal(whole, killed)
    for whole, killed in zip(history(tmp_path / "two"), history(tmp_path / "killed"), strict=True):
        # A running sum of the metrics is saved as the total over workers: its last bit may move.
        assert whole == pytest.approx(killed, rel=1e-6)
