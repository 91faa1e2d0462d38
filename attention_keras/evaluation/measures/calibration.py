"""Is a classifier as often right as it is sure? The reliability diagram and its error."""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

BINS = 15


@dataclass(frozen=True, eq=False)
class Reliability:
    """Answers sorted by how sure they are, in bins of equal width.

    Attributes:
        share: `(m,)` of the images in each bin; bins without images are left out.
        confidence: `(m,)` mean probability of the predicted class.
        accuracy: `(m,)` share that is right.
    """

    share: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error (Guo et al. 2017): mean distance of accuracy from confidence."""
        return float((self.share * np.abs(self.accuracy - self.confidence)).sum())


def uncalibrated(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities `(n, k)` of the same logits without the temperature that they were divided by.

    Example:
        >>> uncalibrated(np.array([[0.75, 0.25]]), 2.0).round(3).tolist()
        [[0.9, 0.1]]
    """
    logarithms = np.log(np.maximum(np.asarray(probabilities, "float64"), 1e-300))
    return softmax(temperature * logarithms, axis=-1)


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Reliability:
    """How often answers are right, by how sure they are.

    Args:
        probabilities: `(n, k)`, n at least 1.
        labels: `(n,)`.
        bins: of equal width, from 0 to 1.

    Example:
        >>> probabilities = np.array([[0.9, 0.1]] * 4)
        >>> round(reliability(probabilities, np.array([0, 0, 0, 1])).error, 3)
        0.15
    """
    sure = probabilities.max(axis=-1)
    right = probabilities.argmax(axis=-1) == labels
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    filled = counts > 0
    means = [np.bincount(place, weights=x, minlength=bins)[filled] / counts[filled] for x in (sure, right)]
    return Reliability(counts[filled] / len(labels), *means)
