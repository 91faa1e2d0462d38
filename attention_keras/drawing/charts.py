"""Charts: lines, the confusion matrix, the reliability diagram. Each is uint8 RGB `(h, w, 3)`."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from attention_keras.drawing.cells import INK
from attention_keras.measures.answers import Reliability

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#999999")
"""Colours of lines (Okabe and Ito's), told apart by readers with any colour vision."""
STYLES = ("-", ":", "-.")
"""Styles of lines; the next one where the colours have all been used."""
MARKERS = "osD^vP*X"
MOST_WITH_NUMBERS, MOST_WITH_NAMES = 20, 50


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure, in inches, that no window shows and no global state remembers."""
    return Figure(figsize=(width, height), dpi=100, facecolor="white", layout="constrained")


def pixels(figure: Figure) -> np.ndarray:
    """The drawn figure as uint8 RGB `(h, w, 3)`."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def line_chart(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    x: Sequence[float],
    *,
    x_label: str,
    y_label: str,
    order: Sequence[str] = (),
    control: str | None = None,
    markers: bool = False,
) -> np.ndarray:
    """Charts side by side with one legend, from title -> line name -> a value for every x.

    Names in `order` have the same colours from chart to chart; the line `control` is black and dashed.
    """
    figure = new_figure(4.6 * len(panels) + 1.8, 4.0)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    names = list(dict.fromkeys([*order, *(name for lines in panels.values() for name in lines)]))
    for axis, (title, lines) in zip(axes, panels.items()):
        for name, values in lines.items():
            number = names.index(name)
            look = (SERIES[number % len(SERIES)], STYLES[number // len(SERIES) % len(STYLES)])
            color, style = (INK[None], "--") if name == control else look
            marker = MARKERS[number % len(MARKERS)] if markers else None
            line = {"color": color, "linestyle": style, "linewidth": 1.8, "marker": marker, "markersize": 5}
            axis.plot(x, values, label=name, **line)
        axis.set_title(title, fontsize=11)
        axis.set(xlabel=x_label, ylim=(-0.02, 1.02))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel(y_label)
    handles = {line.get_label(): line for axis in axes for line in axis.get_lines()}
    figure.legend(handles.values(), handles.keys(), loc="outside right center", fontsize=9, frameon=False)
    return pixels(figure)


def confusion_figure(matrix: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """The counts `(k, k)`, a row for each true class; the colour is the share of that class.

    Counts are written up to 20 classes and names up to 50.
    """
    classes = len(matrix)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(4.5, 1.8 + 0.42 * classes), 14)
    figure = new_figure(side, side)
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    correct = np.trace(matrix) / max(matrix.sum(), 1)
    axes.set(xlabel="predicted", ylabel="true", title=f"{correct:.1%} of {matrix.sum():,} images correct")
    if classes <= MOST_WITH_NAMES:
        axes.set_xticks(range(classes), class_names, rotation=90, fontsize=8)
        axes.set_yticks(range(classes), class_names, fontsize=8)
    if classes <= MOST_WITH_NUMBERS:
        for row, column in zip(*np.nonzero(matrix)):
            style = {"color": "white" if share[row, column] > 0.5 else "black", "fontsize": 7}
            axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", **style)
    return pixels(figure)


def reliability_diagram(lines: Mapping[str, Reliability]) -> np.ndarray:
    """How often answers are right, by how sure they are: a line for each set of answers.

    A calibrated classifier lies on the diagonal. The area of a point is the share of the answers in it.
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
