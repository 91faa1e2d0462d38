"""Two real worker processes on loopback: equal to one process, and exact again after one dies."""

import importlib.util
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


def flags(directory, name):
    return [*FLAGS, "--run-dir", str(directory), "--export", str(directory / "exports"), "--name", name]


def variables(path):
    """Name -> value of every variable."""
    return {v.path: keras.ops.convert_to_numpy(v) for v in load_model(path / "model.keras").variables}


def test_the_others_end_with_a_worker_that_fails_also_if_they_do_not_listen(monkeypatch):
    """As one does not that still looks for the failed one."""
    monkeypatch.setattr(run_workers, "GRACE", 0.2)
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(99)"
    first = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
    first.stdout.readline()  # from now on it is deaf
    second = subprocess.Popen([sys.executable, "-c", "raise SystemExit(2)"])
    assert run_workers.wait([first, second]) == 2
    assert first.returncode == -signal.SIGKILL
    first.stdout.close()


@pytest.mark.slow
def test_two_workers_equal_one_process_and_survive_a_death(tmp_path):
    command = [sys.executable, str(run_workers.TRAIN), *flags(tmp_path, "single"), "--strategy", "none"]
    subprocess.run(command, check=True, capture_output=True)
    assert run_workers.wait(run_workers.start(2, flags(tmp_path, "two"))) == 0
    single, two = variables(tmp_path / "single"), variables(tmp_path / "two")
    assert single.keys() == two.keys()
    for name, value in single.items():
        # Keras computes a synchronised variance as a difference of two means, which costs a digit.
        tolerance = 1e-5 if "moving_variance" in name else 1e-6
        np.testing.assert_allclose(value, two[name], atol=tolerance, rtol=tolerance, err_msg=name)
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
    killed = variables(tmp_path / "killed")
    for name, value in two.items():
        np.testing.assert_array_equal(value, killed[name], err_msg=name)
    for whole, resumed in zip(read_history(tmp_path / "two"), read_history(tmp_path / "killed"), strict=True):
        # A running sum of the metrics is saved as the total over workers: its last bit may move.
        assert whole == pytest.approx(resumed, rel=1e-6)

    # All workers wait until the chief has thrown the earlier run away.
    assert run_workers.wait(run_workers.start(2, [*flags(tmp_path, "killed"), "--restart"])) == 0
    for name, value in variables(tmp_path / "killed").items():
        np.testing.assert_array_equal(value, two[name], err_msg=name)
