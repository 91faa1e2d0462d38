"""One image with its maps beside it: what TensorBoard and evaluation show."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from attention_keras.drawing.canvas import new_figure, pixels
from attention_keras.drawing.maps import enlarge, largest, overlay, range_words, signed_overlay, signed_words
from attention_keras.drawing.palette import ATTENTION, EVIDENCE, INK

CELL_INCHES, DPI = 2.3, 100


def panel(
    image: np.ndarray,
    maps: Mapping[str, np.ndarray],
    title: str = "",
    *,
    evidence: Mapping[str, np.ndarray] | None = None,
    correct: bool | None = None,
    shared_scale: bool = False,
) -> np.ndarray:
    """One picture: the image, then each map over it with its name, its maximum and a colour scale.

    Args:
        image: uint8 `(H, W, 3)`; small images are enlarged without smoothing.
        maps: name -> map `(h, w)`.
        title: for example the true and the predicted class.
        evidence: name -> map `(h, w)` with signs, in colours around zero, after the others.
        correct: colours the title green or red.
        shared_scale: one scale from 0 to the largest value of all `maps`, instead of one for each map. Maps
            of `evidence` always share one.

    Returns:
        uint8 RGB `(h, w, 3)`.
    """
    evidence = evidence or {}
    columns = 1 + len(maps) + len(evidence)
    figure = new_figure(max(columns * CELL_INCHES, 4.2), CELL_INCHES + 0.75, dpi=DPI, layout=None)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    figure.subplots_adjust(left=0.01, right=0.99, top=0.8, bottom=0.1, wspace=0.06)
    figure.suptitle(title, fontsize=14, color=INK[correct], y=0.985)
    enlarged = enlarge(image, round(CELL_INCHES * DPI))
    axes[0].imshow(enlarged)
    axes[0].set_title("input", fontsize=12)
    top = max((float(m.max()) for m in maps.values()), default=0.0) if shared_scale else None
    for axis, (name, attention) in zip(axes[1:], maps.items()):
        axis.imshow(overlay(enlarged, np.asarray(attention, "float64"), top))
        low = 0.0 if shared_scale else float(attention.min())
        high = top if shared_scale else float(attention.max())
        axis.set_title(f"{name}  {attention.shape[0]}x{attention.shape[1]}", fontsize=12)
        _scale(figure, axis, ATTENTION, range_words(low, high))
    limit = max((largest(level) for level in evidence.values()), default=0.0)
    for axis, (name, level) in zip(axes[1 + len(maps) :], evidence.items()):
        axis.imshow(signed_overlay(enlarged, np.asarray(level, "float64"), limit))
        axis.set_title(name, fontsize=12)
        _scale(figure, axis, EVIDENCE, signed_words(limit))
    for axis in axes:
        axis.set_axis_off()
    return pixels(figure)


def _scale(figure: Figure, axis, colors, ends: tuple[str, str]) -> None:
    """A thin colour bar under the map, labelled with the values at its ends.

    They have room for eight letters, such as -0.00012 and +1.2e-05, inside the map's width.
    """
    box = axis.get_position()
    bar = figure.add_axes((box.x0 + 0.36 * box.width, 0.055, 0.28 * box.width, 0.028))
    bar.imshow(np.linspace(0, 1, 128)[None], aspect="auto", cmap=colors)
    bar.set_axis_off()
    for x, words, side in zip((0.34, 0.66), ends, ("right", "left")):
        figure.text(box.x0 + x * box.width, 0.068, words, fontsize=10, ha=side, va="center")


def prediction_title(
    probabilities: np.ndarray, class_names: Sequence[str], label: int | None = None
) -> tuple[str, bool | None]:
    """Title of a panel, and whether the prediction is right (None without a label).

    Args:
        probabilities: `(k,)`.
        class_names: k names.
        label: the true class, where it is known.
    """
    predicted = int(probabilities.argmax())
    title = f"predicted: {class_names[predicted]} ({probabilities[predicted]:.0%})"
    if label is None:
        return title, None
    return f"true: {class_names[label]}    {title}", predicted == int(label)
