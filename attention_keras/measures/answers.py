"""How good a classifier's answers are: error, confusion, and whether it is as often right as it is sure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from sklearn.metrics import confusion_matrix

BINS = 15


@dataclass(frozen=True)
class Classification:
    """Error and accuracy in [0, 1]; the confusion matrix `(k, k)` counts, a row for each true class.

    The accuracy of a class without images is None.
    """

    images: int
    error: float
    accuracy: float
    per_class_accuracy: dict[str, float | None]
    confusion: list[list[int]]


def classify(probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> Classification:
    """Compare predictions, from probabilities `(n, k)`, with labels `(n,)`."""
    predicted = probabilities.argmax(axis=-1)
    matrix = confusion_matrix(labels, predicted, labels=range(len(class_names)))
    accuracy = float(np.mean(predicted == labels))
    totals = matrix.sum(axis=1).tolist()
    return Classification(
        images=len(labels),
        error=1 - accuracy,
        accuracy=accuracy,
        per_class_accuracy={
            name: right / total if total else None
            for name, right, total in zip(class_names, np.diag(matrix).tolist(), totals)
        },
        confusion=matrix.tolist(),
    )


@dataclass(frozen=True, eq=False)
class Reliability:
    """Answers in bins of equal width by how sure they are; empty bins are left out."""

    share: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error (Guo et al. 2017): mean distance of accuracy from confidence."""
        return float((self.share * np.abs(self.accuracy - self.confidence)).sum())


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Reliability:
    """How often answers, from probabilities `(n, k)`, are right, by how sure they are."""
    sure = probabilities.max(axis=-1)
    right = probabilities.argmax(axis=-1) == labels
    bin_of = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    filled = counts > 0
    means = [np.bincount(bin_of, weights=x, minlength=bins)[filled] / counts[filled] for x in (sure, right)]
    return Reliability(counts[filled] / len(labels), *means)


def uncalibrated(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities `(n, k)` of the same logits without the temperature that they were divided by."""
    logarithms = np.log(np.maximum(np.asarray(probabilities, "float64"), 1e-300))
    return softmax(temperature * logarithms, axis=-1)
