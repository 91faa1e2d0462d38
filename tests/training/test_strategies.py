"""Two devices compute what one does; strategies that cannot are refused with the reason."""

import json

import keras
import numpy as np
import pytest

from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig
from attention_keras.training.session import Session
from attention_keras.training.strategy import build_strategy
from attention_keras.training.train import train

pytestmark = pytest.mark.usefixtures("small_network")
# The objects of 9 of 67 training images: some batches have none, and their replicas different numbers.
GUIDED = {"attend_to": 0.5, "attend_to_fraction": 0.13}


def run(tmp_path, name, **flags):
    """Train 2 epochs of 5 steps, the last one partial; weights, history and metrics."""
    defaults = {
        "limit": 75,
        "batch_size": 16,
        "epochs": 2,
        "precision": "float32",
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "schedule": "constant",
        "strategy": "none",
        "run_dir": str(tmp_path),
        "name": name,
    }
    result = train(RunConfig(**{**defaults, **flags}), report=lambda line: None)
    history = [json.loads(line) for line in (result.run.path / "history.jsonl").read_text().splitlines()]
    weights = keras.models.load_model(result.run.path / "model.keras", compile=False).get_weights()
    return weights, history, result.metrics


def assert_same(one, other, tolerance):
    for a, b in zip(one[0], other[0], strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance)
    for a, b in zip(one[1], other[1], strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() - {"time", "images_per_second"}:
            assert a[name] == pytest.approx(b[name], abs=tolerance, rel=tolerance)
    assert one[2]["test_error"] == pytest.approx(other[2]["test_error"], abs=tolerance)


@pytest.fixture(scope="module")
def one_device(tmp_path_factory, small_network):
    return run(tmp_path_factory.mktemp("one"), "one")


@pytest.fixture(scope="module")
def one_guided(tmp_path_factory, small_network):
    return run(tmp_path_factory.mktemp("guided"), "one", **GUIDED)


def test_mirrored_equals_one_device(one_device, tmp_path):
    assert_same(one_device, run(tmp_path, "two", strategy="mirrored"), 1e-6)


def test_a_last_batch_of_one_image_is_shared_too(tmp_path, monkeypatch):
    """65 images in batches of 16: two devices take batches of 15 and 2 in place of 16 and 1."""
    two = run(tmp_path, "two", limit=65, strategy="mirrored")
    assert two[2]["steps"] == 2 * 5
    alone = run(tmp_path, "alone", limit=65)
    monkeypatch.setattr(Session, "replicas", 2)
    assert_same(run(tmp_path, "one", limit=65), two, 1e-5)
    assert max(np.abs(a - b).max() for a, b in zip(alone[0], two[0])) > 1e-4, "the cut counts"


def test_guided_and_mirrored_equals_guided_on_one_device(one_guided, one_device, tmp_path):
    assert_same(one_guided, run(tmp_path, "two", strategy="mirrored", **GUIDED), 1e-6)
    assert max(np.abs(a - b).max() for a, b in zip(one_guided[0], one_device[0])) > 1e-4, "the term counts"


def test_averaged_weights_on_two_devices_are_those_on_one(one_device, tmp_path):
    one, two = (run(tmp_path, name, strategy=name, ema=0.9) for name in ("none", "mirrored"))
    assert_same(one, two, 1e-6)
    assert max(np.abs(a - b).max() for a, b in zip(one[0], one_device[0])) > 1e-4, "the average counts"


@pytest.mark.slow
def test_mirrored_equals_one_device_in_bfloat16_too(tmp_path):
    one = run(tmp_path, "one", precision="mixed_bfloat16")
    two = run(tmp_path, "two", precision="mixed_bfloat16", strategy="mirrored")
    for a, b in zip(one[0], two[0], strict=True):
        np.testing.assert_allclose(a, b, atol=3e-2, rtol=3e-2)
    for a, b in zip(one[1], two[1], strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-2)


@pytest.mark.slow
def test_averaged_weights_in_float16_are_those_on_one_device(tmp_path):
    precision = {"precision": "mixed_float16"}
    last = run(tmp_path, "last", **precision)
    one, two = (run(tmp_path, name, strategy=name, ema=0.9, **precision) for name in ("none", "mirrored"))
    for a, b in zip(one[0], two[0], strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3, rtol=2e-3)
    assert max(np.abs(a - b).max() for a, b in zip(one[0], last[0])) > 0.1, "the average counts"


@pytest.mark.slow
def test_a_network_of_the_paper_takes_the_same_step_on_two_devices(tmp_path, monkeypatch):
    """One partial batch; after more steps ReLU and max-pooling amplify the rounding of any two sums."""
    from attention_keras.models.zoo import build_model

    monkeypatch.setattr("attention_keras.training.network.build_model", build_model)
    flags = {"model": "vgg", "width": 0.1, "limit": 11, "epochs": 1, "learning_rate": 1e-3}
    assert_same(run(tmp_path, "one", **flags), run(tmp_path, "two", strategy="mirrored", **flags), 1e-5)


def test_several_steps_per_execution_change_nothing(one_device, tmp_path):
    assert_same(one_device, run(tmp_path, "runs", steps_per_execution=5), 1e-6)


def test_steps_per_execution_must_divide_the_epoch(tmp_path):
    with pytest.raises(UserError, match="allowed here: 1, 5"):
        run(tmp_path, "runs", steps_per_execution=2)


def test_the_saved_model_is_the_same_outside_the_strategy(tmp_path):
    run(tmp_path, "two", strategy="mirrored", epochs=1)
    model = keras.models.load_model(tmp_path / "two" / "model.keras", compile=False)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms and not any(layer.synchronized for layer in norms)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"strategy": "parameter_server"}, "refused: Keras 3 has no parameter-server training"),
        ({"strategy": "central_storage"}, "refused: Keras 3 reports wrong losses"),
        ({"strategy": "fsdp"}, "strategy must be one of auto, none, mirrored, multi_worker, tpu"),
        ({"batch_size": 10, "accumulate": 3}, "accumulate must divide batch_size"),
    ],
)
def test_what_does_not_work_is_refused_with_the_reason(flags, said):
    with pytest.raises(UserError, match=said):
        RunConfig(**flags)


def test_multi_worker_needs_tf_config(monkeypatch, tmp_path):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match="TF_CONFIG"):
        train(RunConfig(strategy="multi_worker", run_dir=str(tmp_path)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "not json",
        "{'cluster': 1}",
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
    ],
)
def test_a_tf_config_that_does_not_say_who_this_is(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG must list the workers"):
        build_strategy("multi_worker")


def test_tpu_says_when_there_is_none(tmp_path):
    with pytest.raises(UserError, match="found no TPU"):
        train(RunConfig(strategy="tpu", run_dir=str(tmp_path)))


def test_accumulated_gradients_are_those_of_the_larger_batch():
    from attention_keras.training.optimizers import build_optimizer

    rng = np.random.default_rng(0)
    images = rng.normal(size=(8, 5)).astype("float32")
    targets = rng.normal(size=(8, 1)).astype("float32")

    def trained(accumulate):
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1, kernel_initializer="ones")])
        model.compile(build_optimizer("sgd", 0.1, 0.01, accumulate), "mse")
        model.fit(images, targets, batch_size=8 // accumulate, epochs=4, shuffle=False, verbose=0)
        return model.get_weights()

    for whole, parts in zip(trained(1), trained(4), strict=True):
        np.testing.assert_allclose(whole, parts, atol=1e-6)


def test_accumulate_trains_with_the_global_batch_schedule(tmp_path):
    config = RunConfig(batch_size=16, accumulate=4)
    assert config.step_batch_size == 4
    _, history, metrics = run(tmp_path, "parts", limit=64, accumulate=4, schedule="cosine", **GUIDED)
    assert metrics["steps"] == 2 * 16
    _, whole, _ = run(tmp_path, "whole", limit=64, schedule="cosine", **GUIDED)
    rates = [[record["learning_rate"] for record in records] for records in (history, whole)]
    assert rates[0] == pytest.approx(rates[1]) and rates[0][0] > 2e-3
    assert RunConfig(batch_size=16).step_batch_size == 16
