"""What attacks did to a network's answers, and how far to trust that they did their best."""

from collections.abc import Sequence

import numpy as np


def fooling_rate(before: np.ndarray, after: np.ndarray) -> float:
    """Share of predictions `(n,)` that changed, right or wrong (the paper's measure).

    Example:
        >>> fooling_rate(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 9]))
        0.25
    """
    return float(np.mean(before != after))


def worst_case(correct: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Accuracy against the strongest of all attacks up to each epsilon; never rises, by construction.

    `correct` holds, for each epsilon in ascending order, what each attack leaves classified right, `(n,)`
    bool. A change allowed at a small epsilon is allowed at a larger one too.
    """
    survived = np.logical_and.accumulate(np.stack([np.logical_and.reduce(group) for group in correct]))
    return survived.mean(axis=1)


def unsound(
    zero_gradients: float, accuracy: dict[str, Sequence[float]], epsilons: Sequence[float], images: int
) -> list[str]:
    """Reasons to distrust the evaluation, after the flags of AutoAttack, a sentence each.

    `zero_gradients` is the share of images without a gradient; `accuracy` is by attack, at every epsilon,
    which ascend.
    """
    reasons = []
    if zero_gradients > 0.01:
        reasons.append(
            f"on {zero_gradients:.0%} of the images the gradient is exactly 0, so attacks that follow it "
            "cannot start there; survival of those images says nothing"
        )
    slack = 1 / images + 1e-9
    for index, epsilon in enumerate(epsilons):
        if accuracy["PGD"][index] > accuracy["FGSM"][index] + slack:
            reasons.append(f"at epsilon {epsilon:g} one step (FGSM) beats many (PGD); take more PGD steps")
        if epsilon and accuracy["noise"][index] < accuracy["FGSM"][index] - slack:
            reasons.append(f"at epsilon {epsilon:g} random noise beats FGSM; gradients are masked")
    for attack, values in accuracy.items():
        rises = [epsilons[i + 1] for i in range(len(values) - 1) if values[i + 1] > values[i] + slack]
        if rises and attack != "noise":
            reasons.append(
                f"{attack} gets weaker at epsilon {rises[0]:g} although it may change more; the gradient "
                f"misleads it"
            )
    return reasons
