"""Top-1 error over every image, per class and in a confusion matrix."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from attention_keras.drawing.confusion import confusion_matrix


@dataclass(frozen=True)
class Classification:
    """How a classifier did: error and accuracy in [0, 1], counts in the confusion matrix `(k, k)`."""

    images: int
    error: float
    accuracy: float
    per_class_accuracy: dict[str, float | None]
    confusion: list[list[int]]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def classify(probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> Classification:
    """Compare predictions with labels.

    Args:
        probabilities: `(n, k)`.
        labels: `(n,)`.
        class_names: k names; a class without images has accuracy None.

    Example:
        >>> classify(np.eye(2)[[0, 1, 1]], np.array([0, 1, 0]), ["cat", "dog"]).per_class_accuracy
        {'cat': 0.5, 'dog': 1.0}
    """
    predicted = probabilities.argmax(axis=-1)
    matrix = confusion_matrix(labels, predicted, len(class_names))
    totals = matrix.sum(axis=1)
    accuracy = float(np.trace(matrix) / len(labels))
    return Classification(
        images=len(labels),
        error=1 - accuracy,
        accuracy=accuracy,
        per_class_accuracy={
            name: float(matrix[i, i] / totals[i]) if totals[i] else None for i, name in enumerate(class_names)
        },
        confusion=matrix.tolist(),
    )
