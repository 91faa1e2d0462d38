"""Attacks on a linear model, where the smallest successful epsilon is known, and the flags of unsoundness."""

import keras
import numpy as np
import pytest

from attention_keras.evaluation.tasks.robustness import ATTACKS, Attacker, unsound, worst_case

SHAPE = (6, 6, 3)


def linear_model(weights):
    """Two classes by the sign of <w, x - 127.5>; logits differ by 2 <w, x - 127.5>."""
    images = keras.Input(SHAPE, name="images")
    dense = keras.layers.Dense(2, name="classifier")
    model = keras.Model(images, dense(keras.layers.Flatten()(images)))
    dense.set_weights([np.stack([weights, -weights], axis=1), np.array([-127.5, 127.5]) * weights.sum()])
    return model


GENERATOR = np.random.default_rng(0)
WEIGHTS = (GENERATOR.normal(size=np.prod(SHAPE)) * 0.01).astype("float32")
IMAGES = GENERATOR.uniform(110, 145, (12, *SHAPE)).astype("float32")
MARGIN = (IMAGES.reshape(12, -1) - 127.5) @ WEIGHTS
LABELS = np.where(MARGIN > 0, 0, 1)


@pytest.fixture(scope="module")
def attacker():
    return Attacker(linear_model(WEIGHTS), steps=5, restarts=1, batch_size=5)


def test_a_linear_model_falls_at_the_analytic_epsilon(attacker):
    needed = np.abs(MARGIN) / np.abs(WEIGHTS).sum()  # per pixel, along the signs of w
    assert (attacker.predict(IMAGES) == LABELS).all()
    for attack in ("FGSM", "PGD"):
        above = attacker.attack(attack, IMAGES, LABELS, float(needed.max() * 1.02))
        assert (attacker.predict(above) != LABELS).all()
    below = attacker.attack("FGSM", IMAGES, LABELS, float(needed.min() * 0.98))
    assert (attacker.predict(below) == LABELS).all()
    some = float(np.median(needed))
    survive = attacker.predict(attacker.attack("FGSM", IMAGES, LABELS, some)) == LABELS
    np.testing.assert_array_equal(survive, needed > some)


def test_changes_stay_within_epsilon_and_the_pixel_range(attacker):
    images = np.random.default_rng(0).choice([0, 3, 128, 254, 255], (12, *SHAPE)).astype("float32")
    for attack in ATTACKS:
        np.testing.assert_array_equal(attacker.attack(attack, images, LABELS, 0), images)
        changed = attacker.attack(attack, images, LABELS, 4)
        assert changed.min() >= 0 and changed.max() <= 255
        assert 3.9 < np.abs(changed - images).max() <= 4 + 1e-3
        np.testing.assert_array_equal(changed, attacker.attack(attack, images, LABELS, 4))


def test_the_attack_with_the_sign_of_the_gradient_is_the_worst_one_step(attacker):
    """On a linear model no change of the same size lowers the margin more than FGSM's."""
    after = {attack: attacker.attack(attack, IMAGES, LABELS, 0.1) for attack in ATTACKS}
    signs = np.where(LABELS == 0, 1, -1)
    fallen = {name: signs * (MARGIN - (a.reshape(12, -1) - 127.5) @ WEIGHTS) for name, a in after.items()}
    np.testing.assert_allclose(fallen["FGSM"], 0.1 * np.abs(WEIGHTS).sum(), rtol=1e-3)
    assert (fallen["FGSM"] >= fallen["noise"] - 1e-4).all()


def test_zero_gradients_are_found(attacker):
    assert attacker.zero_gradients(IMAGES, LABELS) == 0
    certain = Attacker(linear_model(np.full(108, 1e4, "float32")), steps=1, restarts=1)
    assert certain.zero_gradients(IMAGES, certain.predict(IMAGES)) == 1


def test_worst_case_never_rises():
    generator = np.random.default_rng(0)
    correct = [[generator.random(50) < 0.8 for _ in range(3)] for _ in range(4)]
    values = worst_case(correct)
    assert (np.diff(values) <= 0).all() and values[0] == np.mean(np.all(correct[0], axis=0))


def test_flags():
    def flags(zero_gradients=0.0, noise=(0.9, 0.9), fgsm=(0.9, 0.5), pgd=(0.9, 0.2)):
        return unsound(zero_gradients, {"noise": noise, "FGSM": fgsm, "PGD": pgd}, [0, 4], images=100)

    assert flags() == []
    assert "exactly 0" in flags(zero_gradients=0.3)[0]
    assert "FGSM) beats" in flags(fgsm=(0.9, 0.1))[0]
    assert "noise beats" in flags(noise=(0.9, 0.1))[0]
    assert "gets weaker" in flags(fgsm=(0.4, 0.5), pgd=(0.4, 0.2))[0]
