"""Class weights inside the loss: against sums by hand."""

import numpy as np
import pytest

from attention_keras.training.losses import BalancedCrossentropy, build_loss, class_weights


def test_balanced_loss_is_kerass_class_weight():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(6, 3)).astype("float32"), np.array([0, 0, 0, 1, 1, 2])
    weights = class_weights(np.bincount(labels))
    np.testing.assert_allclose(weights, [6 / 9, 1, 2])
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    by_hand = np.mean([-weights[k] * row[k] for row, k in zip(log, labels)])
    loss = build_loss(0.0, np.bincount(labels), balance=True)
    assert float(loss(np.eye(3, dtype="float32")[labels], logits)) == pytest.approx(by_hand, rel=1e-5)
    # Each class weighs the same in an epoch, and an image 1 on average.
    np.testing.assert_allclose(np.bincount(labels) * weights, 2)


def test_a_class_without_images_weighs_nothing_and_mixed_labels_the_mean():
    assert class_weights(np.array([4, 0, 4])).tolist() == [1.0, 0.0, 1.0]
    loss = BalancedCrossentropy([1.0, 3.0])
    mixed = float(loss(np.array([[0.5, 0.5]], "float32"), np.zeros((1, 2), "float32")))
    assert mixed == pytest.approx(2 * np.log(2), rel=1e-5)
