"""A linear SVM on features whose worth is known."""

import numpy as np
import pytest

from attention_keras.data.registry import CIFAR10
from attention_keras.errors import UserError
from attention_keras.measures import linear_probe

STL10 = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


def test_linear_accuracy_on_separable_and_on_useless_features():
    generator = np.random.default_rng(0)
    labels, test_labels = (generator.integers(0, 3, n) for n in (150, 90))
    useful, test_useful = (
        np.eye(3)[y] * 4 + generator.normal(size=(len(y), 3)) for y in (labels, test_labels)
    )
    result = linear_probe.linear_accuracy(useful, labels, test_useful, test_labels)
    assert result.accuracy > 0.95 and result.validation_accuracy > 0.95 and result.features == 3
    assert result.penalty in linear_probe.PENALTIES
    useless = linear_probe.linear_accuracy(
        generator.normal(size=(150, 3)), labels, generator.normal(size=(90, 3)), test_labels
    )
    assert 0.15 < useless.accuracy < 0.55


def test_the_scale_of_a_feature_does_not_matter():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 80)
    features = np.eye(2)[labels] + generator.normal(0, 0.5, (80, 2))
    scaled = features * [1e4, 1e-4]
    one, other = (
        linear_probe.linear_accuracy(f[:60], labels[:60], f[60:], labels[60:]) for f in (features, scaled)
    )
    assert one.accuracy == other.accuracy
    with pytest.raises(UserError, match="two training images or more"):
        linear_probe.linear_accuracy(np.eye(3), np.array([0, 0, 1]), np.eye(3), np.array([0, 0, 1]))


def test_cifar10_answers_on_stl10():
    mapping = linear_probe.shared_classes(CIFAR10, STL10)
    assert len(mapping) == 9 and 7 not in mapping
    assert {STL10[theirs]: CIFAR10[ours] for theirs, ours in mapping.items()}["car"] == "automobile"
    labels = np.array([0, 2, 7, 9])  # airplane, car, monkey, truck
    predicted = np.array([CIFAR10.index(name) for name in ("airplane", "automobile", "frog", "frog")])
    assert linear_probe.direct_accuracy(predicted, labels, mapping) == (pytest.approx(2 / 3), 3)
