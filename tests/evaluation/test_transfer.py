"""A linear SVM on features whose worth is known, and a network's own answers on another dataset."""

import numpy as np
import pytest

from attention_keras.data.registry import CIFAR10
from attention_keras.evaluation.tasks.transfer import (
    PENALTIES,
    direct_accuracy,
    linear_accuracy,
    shared_classes,
)

STL10 = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


def test_separable_features_at_any_scale_and_useless_ones():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 240)
    useful = np.eye(3)[labels] * 4 + generator.normal(size=(240, 3))
    useless = generator.normal(size=(240, 3))
    found, scaled, chance = (
        linear_accuracy(f[:150], labels[:150], f[150:], labels[150:])
        for f in (useful, useful * [1e4, 1, 1e-4], useless)
    )
    assert found["accuracy"] > 0.95 and found["validation_accuracy"] > 0.95 and found["features"] == 3
    assert found["penalty"] in PENALTIES and scaled["accuracy"] == found["accuracy"]
    assert 0.15 < chance["accuracy"] < 0.55


def test_cifar10_answers_on_stl10():
    mapping = shared_classes(CIFAR10, STL10)
    assert len(mapping) == 9 and 7 not in mapping
    assert {STL10[theirs]: CIFAR10[ours] for theirs, ours in mapping.items()}["car"] == "automobile"
    labels = np.array([0, 2, 7, 9])  # airplane, car, monkey, truck
    predicted = np.array([CIFAR10.index(name) for name in ("airplane", "automobile", "frog", "frog")])
    assert direct_accuracy(predicted, labels, mapping) == (pytest.approx(2 / 3), 3)
