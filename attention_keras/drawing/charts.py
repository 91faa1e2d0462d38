"""Line charts that look alike: one colour per run or method, a legend outside the lines."""

from collections.abc import Mapping, Sequence

import numpy as np

from attention_keras.drawing.canvas import new_figure, pixels
from attention_keras.drawing.palette import INK, SERIES, STYLES

MARKERS = "osD^vP*X"


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
    """Charts side by side with one legend.

    Args:
        panels: title -> line name -> a value for every x.
        x: values of the horizontal axis, shared.
        x_label, y_label: of the axes.
        order: names whose colours stay the same from chart to chart.
        control: name drawn black and dashed.
        markers: mark the measured points.

    Returns:
        uint8 RGB `(h, w, 3)`.
    """
    figure = new_figure(4.6 * len(panels) + 1.8, 4.0)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    names = list(dict.fromkeys([*order, *(name for lines in panels.values() for name in lines)]))
    for axis, (title, lines) in zip(axes, panels.items()):
        for name, values in lines.items():
            place = names.index(name)
            axis.plot(
                x,
                values,
                label=name,
                color=INK[None] if name == control else SERIES[place % len(SERIES)],
                marker=MARKERS[place % len(MARKERS)] if markers else None,
                markersize=5,
                linestyle="--" if name == control else STYLES[place // len(SERIES) % len(STYLES)],
                linewidth=1.8,
            )
        axis.set_title(title, fontsize=11)
        axis.set_xlabel(x_label)
        axis.grid(alpha=0.3)
        axis.set_ylim(-0.02, 1.02)
    axes[0].set_ylabel(y_label)
    handles = {line.get_label(): line for axis in axes for line in axis.get_lines()}
    figure.legend(handles.values(), handles.keys(), loc="outside right center", fontsize=9, frameon=False)
    return pixels(figure)
