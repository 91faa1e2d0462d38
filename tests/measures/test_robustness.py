"""Worst cases by hand, the promise of an attack, and the flags of unsoundness."""

import numpy as np
import pytest

from attention_keras.measures.robustness import check_change, unsound, worst_case


def test_a_change_that_is_too_large_is_a_bug():
    clean = np.full((1, 2, 2, 3), 100.0)
    check_change(clean, clean + 2, 2)
    with pytest.raises(RuntimeError, match="allowed are 2"):
        check_change(clean, clean + 2.5, 2)
    with pytest.raises(RuntimeError, match="256"):
        check_change(clean + 155, clean + 156, 2)


def test_worst_case_never_rises():
    generator = np.random.default_rng(0)
    correct = [[generator.random(50) < 0.8 for _ in range(3)] for _ in range(4)]
    values = worst_case(correct)
    assert (np.diff(values) <= 0).all() and values[0] == np.mean(np.all(correct[0], axis=0))


def sound(**changes):
    logits = np.random.default_rng(0).normal(size=(100, 3))
    given = {
        "zero_gradients": 0.0,
        "logits": logits,
        "logits_again": logits,
        "accuracy": {"noise": [0.9, 0.9], "FGSM": [0.9, 0.5], "PGD": [0.9, 0.2]},
        "epsilons": [0, 4],
    }
    return unsound(**given | changes)


def test_flags():
    assert sound() == []
    assert "exactly 0" in sound(zero_gradients=0.3)[0]
    assert "two passes" in sound(logits_again=np.zeros((100, 3)))[0]
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], 100)
    assert "are probabilities" in sound(logits=probabilities, logits_again=probabilities)[0]
    accuracy = {"noise": [0.9, 0.9], "FGSM": [0.9, 0.1], "PGD": [0.9, 0.2]}
    assert "FGSM) beats" in sound(accuracy=accuracy)[0]
    accuracy = {"noise": [0.9, 0.1], "FGSM": [0.9, 0.5], "PGD": [0.9, 0.2]}
    assert "noise beats" in sound(accuracy=accuracy)[0]
    accuracy = {"noise": [0.9, 0.9], "FGSM": [0.4, 0.5], "PGD": [0.4, 0.2]}
    assert "gets weaker" in sound(accuracy=accuracy)[0]
