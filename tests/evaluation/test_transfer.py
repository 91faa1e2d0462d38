"""A linear SVM on features whose worth is known."""

import numpy as np

from attention_keras.evaluation.tasks.transfer import PENALTIES, linear_accuracy


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
