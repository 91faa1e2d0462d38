"""Confusion matrices: counted, and drawn so that 10 or 200 classes can be read."""

from collections.abc import Sequence

import numpy as np

from attention_keras.drawing.canvas import new_figure, pixels

LARGEST_WITH_NUMBERS = 20
LARGEST_WITH_NAMES = 50


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts `(k, k)`: row = true class, column = predicted class.

    Example:
        >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
        [[1, 0], [1, 1]]
    """
    pairs = np.asarray(labels, "int64") * num_classes + np.asarray(predicted, "int64")
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def confusion_figure(matrix: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """The matrix as a picture, uint8 RGB `(h, w, 3)`; colour is the share of the true class.

    Counts are written up to 20 classes and names up to 50.
    """
    classes = len(matrix)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(4.5, 1.8 + 0.42 * classes), 14)
    figure = new_figure(side, side)
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    correct = np.trace(matrix) / max(matrix.sum(), 1)
    axes.set_title(f"{correct:.1%} of {matrix.sum():,} images correct", fontsize=11)
    if classes <= LARGEST_WITH_NAMES:
        axes.set_xticks(range(classes), class_names, rotation=90, fontsize=8)
        axes.set_yticks(range(classes), class_names, fontsize=8)
    if classes <= LARGEST_WITH_NUMBERS:
        for row, column in np.ndindex(classes, classes):
            if matrix[row, column]:
                color = "white" if share[row, column] > 0.5 else "black"
                axes.text(
                    column, row, f"{matrix[row, column]}", ha="center", va="center", fontsize=7, color=color
                )
    return pixels(figure)
