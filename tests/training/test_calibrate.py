"""The temperature against the one that the data was made with, and by the condition of the optimum."""

import numpy as np
import pytest
from scipy.special import softmax

from attention_keras.training.calibrate import COLDEST, HOTTEST, fit_temperature


def test_it_finds_the_temperature_that_made_the_labels():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 5))
    for temperature in (0.5, 3.0):
        chances = softmax(logits / temperature, axis=-1)
        labels = (chances.cumsum(-1) > rng.random((len(chances), 1))).argmax(-1)
        assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.03)


def test_where_all_are_right_the_count_bounds_how_sure_it_gets():
    """Two classes, every logit 1 apart and right: (n + 1) / (n + 2), and never less sure than it was."""
    for count in (2, 500):
        labels = np.arange(count) % 2
        sure = softmax([1 / fit_temperature(np.eye(2)[labels], labels), 0])[0]
        assert sure == pytest.approx((count + 1) / (count + 2), rel=1e-4)
        assert fit_temperature(20 * np.eye(2)[labels], labels) == 1.0
    logits = np.eye(2)  # what has no optimum stays within bounds
    assert fit_temperature(logits, np.array([1, 0])) == pytest.approx(HOTTEST, rel=1e-3)
    assert fit_temperature(logits / 1000, np.array([0, 1])) == pytest.approx(COLDEST, rel=1e-3)
    assert fit_temperature(logits[:0], np.array([], int)) == 1.0
