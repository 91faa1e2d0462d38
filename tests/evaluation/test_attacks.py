"""Attacks on a linear model, where the smallest successful epsilon is known, and the flags of unsoundness."""

import keras
import numpy as np

from attention_keras.evaluation.tasks.robustness import ATTACKS, Attacker, unsound, worst_case

SHAPE = (6, 6, 3)
GENERATOR = np.random.default_rng(0)
WEIGHTS = (GENERATOR.normal(size=np.prod(SHAPE)) * 0.01).astype("float32")
IMAGES = GENERATOR.uniform(110, 145, (12, *SHAPE)).astype("float32")
MARGIN = (IMAGES.reshape(12, -1) - 127.5) @ WEIGHTS
LABELS = np.where(MARGIN > 0, 0, 1)


def attacker(weights):
    """Two classes by the sign of <w, x - 127.5>; logits differ by 2 <w, x - 127.5>."""
    images = keras.Input(SHAPE, name="images")
    dense = keras.layers.Dense(2, name="classifier")
    model = keras.Model(images, dense(keras.layers.Flatten()(images)))
    dense.set_weights([np.stack([weights, -weights], axis=1), np.array([-127.5, 127.5]) * weights.sum()])
    return Attacker(model, steps=5, restarts=1, batch_size=5)


def test_a_linear_model_falls_at_the_analytic_epsilon():
    """No change of the same size lowers its margin more than FGSM's."""
    needed, attacks = np.abs(MARGIN) / np.abs(WEIGHTS).sum(), attacker(WEIGHTS)  # along the signs of w
    assert (attacks.predict(IMAGES) == LABELS).all() and attacks.zero_gradients(IMAGES, LABELS) == 0
    for attack in ("FGSM", "PGD"):
        above = attacks.attack(attack, IMAGES, LABELS, float(needed.max() * 1.02))
        assert (attacks.predict(above) != LABELS).all()
    for some in (float(needed.min() * 0.98), float(np.median(needed))):
        survive = attacks.predict(attacks.attack("FGSM", IMAGES, LABELS, some)) == LABELS
        np.testing.assert_array_equal(survive, needed > some)
    certain = attacker(np.full(108, 1e4, "float32"))
    assert certain.zero_gradients(IMAGES, certain.predict(IMAGES)) == 1


def test_changes_stay_within_epsilon_and_the_pixel_range():
    images = GENERATOR.choice([0, 3, 128, 254, 255], (12, *SHAPE)).astype("float32")
    attacks = attacker(WEIGHTS)
    for attack in ATTACKS:
        np.testing.assert_array_equal(attacks.attack(attack, images, LABELS, 0), images)
        changed = attacks.attack(attack, images, LABELS, 4)
        assert changed.min() >= 0 and changed.max() <= 255
        assert 3.9 < np.abs(changed - images).max() <= 4 + 1e-3
        np.testing.assert_array_equal(changed, attacks.attack(attack, images, LABELS, 4))


def test_worst_case_and_flags():
    correct = np.array([[[1, 1, 0], [1, 1, 1]], [[1, 1, 1], [0, 1, 1]]], bool)
    np.testing.assert_allclose(worst_case(correct), [2 / 3, 1 / 3])  # what one attack broke stays broken

    def flags(zero_gradients=0.0, noise=(0.9, 0.9), fgsm=(0.9, 0.5), pgd=(0.9, 0.2)):
        return unsound(zero_gradients, {"noise": noise, "FGSM": fgsm, "PGD": pgd}, [0, 4], images=100)

    assert flags() == []
    for found, said in (
        (flags(zero_gradients=0.3), "exactly 0"),
        (flags(fgsm=(0.9, 0.1)), "at epsilon 4 one step (FGSM) beats many"),
        (flags(noise=(0.9, 0.1)), "at epsilon 4 random noise beats FGSM"),
        (flags(fgsm=(0.4, 0.5), pgd=(0.4, 0.2)), "at epsilon 4 FGSM gets weaker"),
    ):
        assert len(found) == 1 and said in found[0]
