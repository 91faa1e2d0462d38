"""Attacks on a linear model, where the smallest successful epsilon is known."""

import keras
import numpy as np
import pytest

from attention_keras.evaluation.attacks import ATTACKS, Attacker

SHAPE = (6, 6, 3)
EPSILONS = (0, 0.5, 1, 2, 4, 8, 16)


def linear_model(weights):
    images = keras.Input(SHAPE, name="images")
    dense = keras.layers.Dense(2, name="classifier")
    model = keras.Model(images, dense(keras.layers.Flatten()(images)))
    dense.set_weights([np.stack([weights, -weights], axis=1), np.array([-127.5, 127.5]) * weights.sum()])
    return model


@pytest.fixture
def linear():
    """Two classes by the sign of <w, x - 127.5>; logits differ by 2 <w, x - 127.5>."""
    generator = np.random.default_rng(0)
    weights = (generator.normal(size=np.prod(SHAPE)) * 0.01).astype("float32")
    images = generator.uniform(110, 145, (12, *SHAPE)).astype("float32")
    margin = (images.reshape(12, -1) - 127.5) @ weights
    labels = np.where(margin > 0, 0, 1)
    needed = np.abs(margin) / np.abs(weights).sum()  # per pixel, along the signs of w
    return linear_model(weights), images, labels, needed


def test_a_linear_model_falls_at_the_analytic_epsilon(linear):
    model, images, labels, needed = linear
    attacker = Attacker(model, steps=5, restarts=1)
    assert (attacker.predict(images) == labels).all()
    for attack in ("FGSM", "PGD"):
        above = attacker.attack(attack, images, labels, float(needed.max() * 1.02))
        assert (attacker.predict(above) != labels).all()
    below = attacker.attack("FGSM", images, labels, float(needed.min() * 0.98))
    assert (attacker.predict(below) == labels).all()
    some = float(np.median(needed))
    survive = attacker.predict(attacker.attack("FGSM", images, labels, some)) == labels
    np.testing.assert_array_equal(survive, needed > some)


def test_changes_stay_within_epsilon_and_the_pixel_range(linear):
    model, _, labels, _ = linear
    attacker = Attacker(model, steps=3, restarts=1, batch_size=5)
    images = np.random.default_rng(0).choice([0, 3, 128, 254, 255], (12, *SHAPE)).astype("float32")
    for attack in ATTACKS:
        np.testing.assert_array_equal(attacker.attack(attack, images, labels, 0), images)
        changed = attacker.attack(attack, images, labels, 4)
        assert changed.min() >= 0 and changed.max() <= 255
        assert 3.9 < np.abs(changed - images).max() <= 4 + 1e-3
        np.testing.assert_array_equal(changed, attacker.attack(attack, images, labels, 4))


def test_the_attack_with_the_sign_of_the_gradient_is_the_worst_one_step(linear):
    """On a linear model no change of the same size lowers the margin more than FGSM's."""
    model, images, labels, _ = linear
    attacker = Attacker(model, steps=1, restarts=1)

    def margins(pixels):
        logits = attacker.logits(pixels)
        return np.where(labels == 0, 1, -1) * (logits[:, 0] - logits[:, 1])

    after = {attack: margins(attacker.attack(attack, images, labels, 0.1)) for attack in ATTACKS}
    weights = np.abs(np.asarray(model.layers[-1].kernel)[:, 0]).sum()
    np.testing.assert_allclose(margins(images) - after["FGSM"], 2 * 0.1 * weights, rtol=1e-3)
    assert (after["FGSM"] <= after["noise"] + 1e-4).all()


def test_zero_gradients_are_found(linear):
    model, images, labels, _ = linear
    assert Attacker(model).zero_gradients(images, labels) == 0
    certain = Attacker(linear_model(np.full(108, 1e4, "float32")))
    assert certain.zero_gradients(images, certain.predict(images)) == 1
