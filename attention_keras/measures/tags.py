"""How good answers other than a class are: average precision and F1 of tags, R2 and error of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, f1_score, mean_absolute_error, r2_score


@dataclass(frozen=True)
class TagScores:
    """Of each tag, in their order; the average precision of one that no image has is None.

    `exact` is the share of images all of whose tags are right.
    """

    images: int
    ap: list[float | None]
    f1: list[float]
    counts: list[int]
    exact: float

    @property
    def mean_ap(self) -> float:
        """Macro mAP: the mean over the tags that an image has."""
        return float(np.mean([value for value in self.ap if value is not None]))

    @property
    def mean_f1(self) -> float:
        """Macro F1: the mean over the same tags."""
        return float(np.mean([f1 for f1, ap in zip(self.f1, self.ap) if ap is not None]))


def score_tags(
    probabilities: np.ndarray, labels: np.ndarray, thresholds: Sequence[float] | None
) -> TagScores:
    """Compare probabilities `(n, k)` with tags `(n, k)`; an image has a tag from its threshold on."""
    found = probabilities >= np.asarray(0.5 if thresholds is None else thresholds, "float32")
    counts = labels.sum(axis=0, dtype="int64")
    ap = [
        float(average_precision_score(there, column)) if count else None
        for there, column, count in zip(labels.T, probabilities.T, counts)
    ]
    f1 = [float(f1_score(there, column, zero_division=0)) for there, column in zip(labels.T, found.T)]
    return TagScores(len(labels), ap, f1, counts.tolist(), float((found == labels).all(axis=1).mean()))


@dataclass(frozen=True)
class NumberScores:
    """R2, and the mean absolute error in the units of the numbers."""

    images: int
    r2: float
    mean_absolute_error: float


def score_numbers(answers: np.ndarray, numbers: np.ndarray) -> NumberScores:
    """Compare `(n,)` with `(n,)`."""
    r2 = float(r2_score(numbers, answers)) if len(numbers) > 1 else float("nan")
    return NumberScores(len(numbers), r2, float(mean_absolute_error(numbers, answers)))
