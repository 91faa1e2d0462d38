"""The loss and the accuracy of concat and indep models against NumPy."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from attention_keras.training.losses import LevelwiseCrossentropy, TopOneAccuracy

RNG = np.random.default_rng(0)
TARGETS = np.eye(5, dtype="float32")[RNG.integers(0, 5, 32)]
LEVELS = RNG.normal(size=(32, 3, 5)).astype("float32") * 3


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_levels_add_up(smoothing):
    smooth = TARGETS * (1 - smoothing) + smoothing / 5
    expected = -(smooth[:, None] * log_softmax(LEVELS, axis=-1)).sum(axis=(1, 2)).mean()
    assert float(LevelwiseCrossentropy(smoothing)(TARGETS, LEVELS)) == pytest.approx(expected, rel=1e-5)


def test_one_level_is_plain_cross_entropy():
    one = float(LevelwiseCrossentropy()(TARGETS, LEVELS[:, :1]))
    assert float(LevelwiseCrossentropy()(TARGETS, LEVELS[:, 0])) == pytest.approx(one, rel=1e-6)


def test_accuracy_averages_the_probabilities_of_the_levels():
    metric = TopOneAccuracy()
    metric.update_state(TARGETS[:20], LEVELS[:20])
    metric.update_state(TARGETS[20:], LEVELS[20:])
    expected = (softmax(LEVELS, axis=-1).mean(axis=1).argmax(-1) == TARGETS.argmax(-1)).mean()
    assert float(metric.result()) == pytest.approx(expected)


def test_averaging_probabilities_is_not_averaging_logits():
    levels = np.array([[[8.0, 0.0, 0.0], [-9.0, 1.0, 0.0]]])
    metric = TopOneAccuracy()
    metric.update_state([[1.0, 0.0, 0.0]], levels)
    assert float(metric.result()) == 1.0
    assert levels.mean(axis=1).argmax() == 1


def test_loss_round_trips():
    assert LevelwiseCrossentropy.from_config(LevelwiseCrossentropy(0.2).get_config()).label_smoothing == 0.2
