"""How good answers are: error and calibration of classes, scores of tags and of numbers, errors of groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas
from scipy.special import softmax
from sklearn.metrics import average_precision_score, confusion_matrix, f1_score, mean_absolute_error, r2_score

BINS = 15


def classify(probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
    """Of probabilities `(n, k)`; the confusion matrix has a row for each true class. The accuracy of a class
    without images is None."""
    predicted = probabilities.argmax(axis=-1)
    matrix = confusion_matrix(labels, predicted, labels=range(len(class_names)))
    accuracy = float(np.mean(predicted == labels))
    counts = zip(class_names, np.diag(matrix).tolist(), matrix.sum(axis=1).tolist())
    return {
        "images": len(labels),
        "error": 1 - accuracy,
        "accuracy": accuracy,
        "per_class_accuracy": {name: right / total if total else None for name, right, total in counts},
        "confusion": matrix.tolist(),
    }


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


class TagScores(NamedTuple):
    """Of each tag, in their order; the average precision of one that no image has is None.

    The means are over the tags that an image has. `exact` is the share of images all of whose tags are right.
    """

    ap: list[float | None]
    f1: list[float]
    counts: list[int]
    exact: float
    mean_ap: float
    mean_f1: float


def score_tags(
    probabilities: np.ndarray, labels: np.ndarray, thresholds: Sequence[float] | None
) -> TagScores:
    """Compare probabilities `(n, k)` with tags `(n, k)`; an image has a tag from its threshold on."""
    found = probabilities >= np.asarray(0.5 if thresholds is None else thresholds, "float32")
    counts = labels.sum(axis=0, dtype="int64").tolist()
    columns = zip(labels.T, probabilities.T, counts)
    ap = [float(average_precision_score(there, p)) if count else None for there, p, count in columns]
    f1 = [float(f1_score(there, column, zero_division=0)) for there, column in zip(labels.T, found.T)]
    exact = float((found == labels).all(axis=1).mean())
    known = np.flatnonzero(counts)
    means = (float(np.mean([values[tag] for tag in known])) for values in (ap, f1))
    return TagScores(ap, f1, counts, exact, *means)


def score_numbers(answers: np.ndarray, numbers: np.ndarray) -> tuple[float, float]:
    """R2 and the mean absolute error of `(n,)` beside `(n,)`, the error in the units of the numbers."""
    r2 = float(r2_score(numbers, answers)) if len(numbers) > 1 else float("nan")
    return r2, float(mean_absolute_error(numbers, answers))


def errors_by_group(groups: np.ndarray | None, wrong: np.ndarray) -> dict[str, Any]:
    """The mean over groups of their error, and each group's, from the error `wrong` `(n,)` of each image.

    Groups count alike, however many images they have: those of one group are no independent tries.
    """
    if groups is None or not any(groups):
        return {}
    each = pandas.Series(wrong, dtype="float64").groupby(groups).agg(error="mean", images="size")
    each = each.drop("", errors="ignore").sort_values(["error", "images"], ascending=False)
    rows = each.rename_axis("group").reset_index().to_dict("records")
    return {"mean": each.error.mean(), "standard error": each.error.sem(), "each, worst first": rows}
