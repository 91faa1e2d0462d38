"""Two devices compute what one does; strategies that cannot are refused with the reason."""

import keras
import numpy as np
import pytest
from small_runs import SMALL, assert_ends_as, difference, trained

from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig
from attention_keras.training.device import build_strategy
from attention_keras.training.optimizers import build_optimizer
from attention_keras.training.session import Session

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
        how = {"precision": precision, "ema": ema}
        one, two = (
            trained(STEADY, tmp_path / precision, name=name, strategy=name, **how)
            for name in ("none", "mirrored")
        )
        assert difference(one, two) < tolerance, precision


@pytest.mark.slow
def test_a_last_batch_of_one_image_is_shared_too(tmp_path, monkeypatch):
    """65 images in batches of 16: two devices take batches of 15 and 2 in place of 16 and 1."""
    two = trained(STEADY, tmp_path, name="two", limit=65, strategy="mirrored")
    assert two.metrics["steps"] == 2 * 5
    alone = trained(STEADY, tmp_path, name="alone", limit=65)
    form = Session._form.fget
    monkeypatch.setattr(Session, "_form", property(lambda session: form(session) | {"replicas": 2}))
    assert_ends_as(trained(STEADY, tmp_path, limit=65), two, 1e-5)
    assert difference(alone, two) > 1e-4, "the cut counts"


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


def test_accumulated_gradients_are_those_of_the_larger_batch():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(8, 5)).astype("float32")
    targets = rng.normal(size=(8, 1)).astype("float32")
    weights = []
    for accumulate in (1, 4):
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1, kernel_initializer="ones")])
        model.compile(build_optimizer("sgd", 0.1, 0.01, accumulate), "mse")
        model.fit(images, targets, batch_size=8 // accumulate, epochs=4, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for whole, parts in zip(*weights, strict=True):
        np.testing.assert_allclose(whole, parts, atol=1e-6)


def test_a_tf_config_that_does_not_say_who_this_is(monkeypatch):
    for text in (
        "{}",
        "not json",
        "{'cluster': 1}",
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
    ):
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(UserError, match="needs the environment variable TF_CONFIG, which lists"):
            build_strategy("multi_worker")
    monkeypatch.delenv("TF_CONFIG")
    with pytest.raises(UserError, match="needs the environment variable TF_CONFIG"):
        build_strategy("multi_worker")
