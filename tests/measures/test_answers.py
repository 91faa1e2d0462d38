"""Errors, and bins of answers by how sure they are, counted by hand."""

import numpy as np
import pytest
from scipy.special import softmax

from attention_keras.measures.answers import classify, reliability, uncalibrated


def test_classification_by_hand():
    probabilities = np.eye(3)[[0, 1, 1, 0]]
    result = classify(probabilities, np.array([0, 1, 0, 1]), ["a", "b", "c"])
    assert (result.images, result.error, result.accuracy) == (4, 0.5, 0.5)
    assert result.per_class_accuracy == {"a": 0.5, "b": 0.5, "c": None}
    assert result.confusion == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_bins_counted_by_hand():
    probabilities = np.array([[0.55, 0.45], [0.45, 0.55], [0.95, 0.05], [0.97, 0.03], [1.0, 0.0]])
    found = reliability(probabilities, np.array([0, 0, 0, 1, 0]), bins=10)
    np.testing.assert_allclose(found.share, [0.4, 0.6])
    np.testing.assert_allclose(found.confidence, [0.55, (0.95 + 0.97 + 1) / 3])
    np.testing.assert_allclose(found.accuracy, [0.5, 2 / 3])
    assert found.error == pytest.approx(0.4 * 0.05 + 0.6 * (2.92 / 3 - 2 / 3))


def test_a_calibrated_classifier_has_a_small_error():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 50_000)
    labels = (rng.random(50_000) > sure).astype(int)
    assert reliability(np.stack([sure, 1 - sure], axis=1), labels).error < 0.01


def test_the_temperature_can_be_taken_back():
    logits = np.random.default_rng(0).normal(0, 4, (20, 6))
    np.testing.assert_allclose(uncalibrated(softmax(logits / 2.5, axis=-1), 2.5), softmax(logits, axis=-1))
