"""Worst cases by hand, and the flags of unsoundness."""

import numpy as np

from attention_keras.measures.robustness import unsound, worst_case


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
