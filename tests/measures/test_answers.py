"""Errors, bins of answers by how sure they are, and errors of groups, counted by hand."""

import numpy as np
import pytest
from scipy.special import softmax

from attention_keras.measures.answers import classify, errors_by_group, reliability, uncalibrated


def test_classification_by_hand():
    found = classify(np.eye(3)[[0, 1, 1, 0]], np.array([0, 1, 0, 1]), ["a", "b", "c"])
    assert (found["images"], found["error"], found["accuracy"]) == (4, 0.5, 0.5)
    assert found["per_class_accuracy"] == {"a": 0.5, "b": 0.5, "c": None}
    assert found["confusion"] == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_bins_counted_by_hand():
    probabilities = np.array([[0.55, 0.45], [0.45, 0.55], [0.95, 0.05], [0.97, 0.03], [1.0, 0.0]])
    found = reliability(probabilities, np.array([0, 0, 0, 1, 0]), bins=10)
    np.testing.assert_allclose(found.share, [0.4, 0.6])
    np.testing.assert_allclose(found.confidence, [0.55, (0.95 + 0.97 + 1) / 3])
    np.testing.assert_allclose(found.accuracy, [0.5, 2 / 3])
    assert found.error == pytest.approx(0.4 * 0.05 + 0.6 * (2.92 / 3 - 2 / 3))


def test_the_temperature_can_be_taken_back():
    logits = np.random.default_rng(0).normal(0, 4, (20, 6))
    np.testing.assert_allclose(uncalibrated(softmax(logits / 2.5, axis=-1), 2.5), softmax(logits, axis=-1))


def test_groups_count_alike_and_the_worst_comes_first():
    groups = np.array(["p1", "p2", "p2", "p2", "p2", "p3", ""], object)
    found = errors_by_group(groups, np.array([0, 1, 0, 0, 0, 1, 1]))
    assert found["mean"] == pytest.approx((0 + 0.25 + 1) / 3)
    each = [(one["group"], one["error"], one["images"]) for one in found["each, worst first"]]
    assert each == [("p3", 1.0, 1), ("p2", 0.25, 4), ("p1", 0.0, 1)]
    assert errors_by_group(None, np.zeros(7)) == {}
