"""Two devices, and two worker processes on loopback, compute what one does, also after a death."""

import subprocess
import sys
import time

import keras
import pytest
import small_runs
from small_runs import SMALL, SmallRun, assert_ends_as, difference, trained

from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig
from attention_keras.training.device import build_strategy
from examples.distributed import run_workers

STEADY = RunConfig(
    **SMALL, epochs=2, optimizer="sgd", learning_rate=0.01, schedule="constant", strategy="none"
)
# The objects of 9 of 67 training images: some batches have none, and their replicas different numbers.
FULL = STEADY.replace(attend_to=0.5, attend_to_fraction=0.13, ema=0.9)


@pytest.mark.slow  # tests/outcomes/test_one_device.py does it with less
def test_mirrored_equals_one_device_with_trained_attention_and_averaged_weights(tmp_path):
    one, two = (trained(FULL, tmp_path, name=name, strategy=name) for name in ("none", "mirrored"))
    assert_ends_as(one, two)
    assert one.history()[0]["off_object"] > 0 and one.history()[0]["val_off_object"] > 0
    norms = [x for x in two.model().layers if isinstance(x, keras.layers.BatchNormalization)]
    assert norms and not any(layer.synchronized for layer in norms), "the file is of one device"
    for precision, ema, tolerance in (("mixed_bfloat16", 0.0, 3e-2), ("mixed_float16", 0.9, 2e-3)):
        how = STEADY.replace(precision=precision, ema=ema)
        one, two = (trained(how, tmp_path / precision, name=n, strategy=n) for n in ("none", "mirrored"))
        assert difference(one, two) < tolerance, precision


@pytest.mark.slow
def test_several_steps_per_execution_change_nothing_and_parts_of_an_update_keep_its_schedule(tmp_path):
    one, five = (trained(STEADY, tmp_path, name=str(n), steps_per_execution=n) for n in (1, 5))
    assert_ends_as(five, one)
    with pytest.raises(UserError, match="must divide the 5 steps of an epoch; got 2"):
        trained(STEADY, tmp_path, name="two", steps_per_execution=2)
    cosine = FULL.replace(limit=64, schedule="cosine")
    parts, whole = (trained(cosine, tmp_path / "parts", name=str(n), accumulate=n) for n in (4, 1))
    assert (parts.metrics["steps"], whole.metrics["steps"]) == (2 * 16, 2 * 4)
    rates = [[record["learning_rate"] for record in run.history()] for run in (parts, whole)]
    assert rates[0] == pytest.approx(rates[1]) and rates[0][0] > 2e-3


def test_a_tf_config_that_does_not_say_who_this_is(monkeypatch):
    workers = '{"cluster": {"worker": ["a:1"]}, "task": {"type": "%s", "index": %d}}'
    for text in ("", "not json", workers % ("worker", 1), workers % ("worker", -1), workers % ("chief", 0)):
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(UserError, match="needs the environment variable TF_CONFIG, which lists"):
            build_strategy("multi_worker")


FLAGS = (
    "--limit 75 --batch-size 16 --epochs 3 --optimizer sgd --learning-rate 0.01 --schedule constant "
    "--precision float32 --deterministic --checkpoint-every 2 --attend-to 1 "
    "--attend-to-fraction 0.5 --ema 0.9"
)


@pytest.mark.slow
def test_two_workers_equal_one_process_and_survive_a_death(tmp_path, monkeypatch):
    monkeypatch.setattr(run_workers, "TRAIN", small_runs.__file__)
    monkeypatch.chdir(tmp_path)
    single, two, killed = (tmp_path / "runs" / name for name in ("single", "two", "killed"))

    def start(name, *more):
        return run_workers.start(2, [*FLAGS.split(), "--name", name, *more])

    words = [sys.executable, small_runs.__file__, *FLAGS.split(), "--name", "single", "--strategy", "none"]
    subprocess.run(words, check=True, capture_output=True)
    assert run_workers.wait(start("two")) == 0
    # Keras computes a synchronised variance as a difference of two means, which costs a digit.
    assert_ends_as(SmallRun(two), SmallRun(single), of_variance=1e-5)
    assert [path.name for path in (tmp_path / "saved_models" / "two").iterdir()] == ["1"], "one exports"

    workers = start("killed")
    deadline = time.monotonic() + 120
    while not list(killed.glob("checkpoints/*.safetensors")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    workers[1].kill()
    assert workers[0].wait(120) == 2  # one line, as after any mistake, and not an error of TensorFlow's
    assert run_workers.wait(workers) != 0
    # The same command goes on; and all workers wait until the chief has thrown the earlier run away.
    for more in ([], ["--restart"]):
        assert run_workers.wait(start("killed", *more)) == 0
        # A running sum of the metrics is saved as the total over workers: its last bit may move.
        assert_ends_as(SmallRun(killed), SmallRun(two), 0)
