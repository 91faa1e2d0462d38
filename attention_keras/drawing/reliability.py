"""The reliability diagram: how often answers are right, by how sure they are."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from attention_keras.drawing.canvas import new_figure, pixels
from attention_keras.drawing.palette import SERIES


class Bins(Protocol):
    """Answers sorted by how sure they are: `(m,)` arrays, and the mean distance of the last two."""

    share: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float: ...


def reliability_diagram(lines: Mapping[str, Bins]) -> np.ndarray:
    """One line for each set of answers; a classifier that knows how sure it may be lies on the diagonal.

    The area of a point is the share of the answers in it.

    Args:
        lines: name -> answers.

    Returns:
        uint8 RGB `(h, w, 3)`.
    """
    figure = new_figure(5.4, 4.4)
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="#999999", linestyle=":", linewidth=1.5)
    for color, (name, bins) in zip(SERIES, lines.items()):
        label = f"{name}: off by {bins.error:.1%}"
        axis.plot(bins.confidence, bins.accuracy, color=color, linewidth=1.6, label=label)
        axis.scatter(bins.confidence, bins.accuracy, s=12 + 240 * bins.share, color=color, alpha=0.7)
    axis.set(xlabel="mean probability of the predicted class", ylabel="share of answers that are right")
    axis.set(xlim=(0, 1.02), ylim=(0, 1.02))
    axis.grid(alpha=0.3)
    axis.legend(loc="upper left", fontsize=9, frameon=False)
    return pixels(figure)
