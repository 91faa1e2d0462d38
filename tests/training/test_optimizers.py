"""Schedules at named epochs of the official scripts, and Torch's coupled decay."""

import keras
import numpy as np
import pytest

from attention_keras.training.optimizers import build_optimizer, build_schedule

STEPS = 10


def rate(schedule, epoch, step=0):
    """The learning rate in 0-based `epoch` at `step` of it."""
    return float(schedule(epoch * STEPS + step))


def test_vgg_halves_at_the_one_based_epochs_25_50():
    schedule = build_schedule("halve_25", 0.1, STEPS, 300)
    for epoch in (0, 23, 24, 48, 49, 100, 299):
        expected = 0.1 * 0.5 ** ((epoch + 1) // 25)
        assert rate(schedule, epoch) == pytest.approx(expected)
        assert rate(schedule, epoch, STEPS - 1) == pytest.approx(expected)


def test_resnet_steps_at_60_120_160_and_cub_doubles_twice_then_halves():
    schedule = build_schedule("step_60_120_160", 0.1, STEPS, 200)
    rates = {0: 0.1, 59: 0.1, 60: 0.02, 119: 0.02, 120: 0.004, 160: 0.0008, 199: 0.0008}
    assert {epoch: rate(schedule, epoch) for epoch in rates} == pytest.approx(rates)
    schedule = build_schedule("cub_30", 0.01, STEPS, 320)
    rates = {1: 0.01, 29: 0.01, 30: 0.02, 60: 0.04, 90: 0.02, 120: 0.01, 150: 0.005}  # by 1-based epoch
    assert {epoch: rate(schedule, epoch - 1) for epoch in rates} == pytest.approx(rates)


def test_cosine_warms_up_and_ends_at_zero_also_where_updates_go_on_over_the_end_of_an_epoch():
    schedule = build_schedule("cosine", 0.4, STEPS, 10)
    # A tenth of the 100 updates: eleven equal steps from 0 to the peak, of which 0 itself is not taken.
    warm_up = [rate(schedule, 0, step) for step in range(11)]
    assert warm_up == pytest.approx([0.4 * (step + 1) / 11 for step in range(11)])
    assert rate(schedule, 10) == pytest.approx(0, abs=1e-6)
    assert rate(schedule, 5, 5) == pytest.approx(0.2, rel=1e-3)
    cosine, halved = build_schedule("cosine", 0.4, 10.5, 4), build_schedule("halve_25", 0.1, 10.5, 30)
    assert float(cosine(42)) == pytest.approx(0, abs=1e-6) and float(cosine(41)) > 1e-4
    assert [round(float(halved(update)), 3) for update in (251, 252)] == [0.1, 0.05]


def test_coupled_decay_is_torchs():
    for nesterov in (False, True):
        rng = np.random.default_rng(0)
        weights = rng.normal(size=5).astype("float32")
        variable = keras.Variable(weights)
        optimizer = build_optimizer("nesterov" if nesterov else "sgd", 0.1, 0.01)
        expected, velocity = weights.astype("float64"), np.zeros(5)
        for _ in range(4):
            gradient = rng.normal(size=5).astype("float32")
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
            coupled = gradient + 0.01 * expected
            velocity = 0.9 * velocity + coupled
            expected = expected - 0.1 * (coupled + 0.9 * velocity if nesterov else velocity)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable.value), expected, atol=1e-6)
