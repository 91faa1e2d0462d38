"""Images with their maps beside them, one or a grid of them. Each is uint8 RGB `(h, w, 3)`."""

from collections.abc import Container, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from attention_keras.drawing.canvas import ATTENTION, EVIDENCE, INK, OUTLINE, new_figure, pixels
from attention_keras.drawing.maps import enlarge, largest, overlay, range_words, signed_overlay, signed_words

PANEL_INCHES, PANEL_DPI = 2.3, 100
CELL_INCHES, GRID_DPI = 1.55, 110
PER_AREA = "logits per 1 % of the image"


def panel(
    image: np.ndarray,
    maps: Mapping[str, np.ndarray],
    title: str = "",
    *,
    evidence: Mapping[str, np.ndarray] | None = None,
    correct: bool | None = None,
) -> np.ndarray:
    """The image `(H, W, 3)` uint8, then each map `(h, w)` over it with its name and a colour scale.

    Maps of `evidence` have signs; they come last, are of one size, and share one scale around zero. `correct`
    colours the title green or red.
    """
    evidence = evidence or {}
    columns = 1 + len(maps) + len(evidence)
    size = (max(columns * PANEL_INCHES, 4.2), PANEL_INCHES + 0.75)
    figure = new_figure(*size, dpi=PANEL_DPI, layout=None)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    figure.subplots_adjust(left=0.01, right=0.99, top=0.8, bottom=0.1, wspace=0.06)
    figure.suptitle(title, fontsize=14, color=INK[correct], y=0.985)
    enlarged = enlarge(image, round(PANEL_INCHES * PANEL_DPI))
    axes[0].imshow(enlarged)
    axes[0].set_title("input", fontsize=12)
    for axis, (name, level) in zip(axes[1:], maps.items()):
        level = np.asarray(level, "float64")
        axis.imshow(overlay(enlarged, level))
        axis.set_title(f"{name}  {level.shape[0]}x{level.shape[1]}", fontsize=12)
        _scale(figure, axis, ATTENTION, range_words(level.min(), level.max()))
    limit = max((largest(level) for level in evidence.values()), default=0.0)
    for axis, (name, level) in zip(axes[1 + len(maps) :], evidence.items()):
        axis.imshow(signed_overlay(enlarged, np.asarray(level, "float64"), limit))
        axis.set_title(name, fontsize=12)
        _scale(figure, axis, EVIDENCE, signed_words(limit, level.size), PER_AREA)
    for axis in axes:
        axis.set_axis_off()
    return pixels(figure)


def _scale(figure: Figure, axis, colors, ends: tuple[str, str], unit: str = "") -> None:
    """A thin colour bar under the map, labelled with the values at its ends, and their unit below.

    They have room for eight letters, such as -0.00012 and +1.2e-05, inside the map's width.
    """
    box = axis.get_position()
    bar = figure.add_axes((box.x0 + 0.36 * box.width, 0.055, 0.28 * box.width, 0.028))
    bar.imshow(np.linspace(0, 1, 128)[None], aspect="auto", cmap=colors)
    bar.set_axis_off()
    for x, words, side in zip((0.34, 0.66), ends, ("right", "left")):
        figure.text(box.x0 + x * box.width, 0.068, words, fontsize=10, ha=side, va="center")
    figure.text(box.x0 + 0.5 * box.width, 0.024, unit, fontsize=7, ha="center", va="center")


def prediction_title(
    probabilities: np.ndarray, class_names: Sequence[str], label: int | None = None
) -> tuple[str, bool | None]:
    """Title of a panel, and whether the prediction is right (None without a label)."""
    predicted = int(probabilities.argmax())
    title = f"predicted: {class_names[predicted]} ({probabilities[predicted]:.0%})"
    if label is None:
        return title, None
    return f"true: {class_names[label]}    {title}", predicted == int(label)


def map_grid(
    images: np.ndarray,
    columns: Mapping[str, np.ndarray],
    titles: Sequence[Mapping[str, tuple[str, bool | None]]],
    *,
    signed: Container[str] = (),
) -> np.ndarray:
    """The paper's figure: images `(n, H, W, 3)` uint8 as rows; the input and maps `(n, h, w)` as columns.

    `titles` says for each image, head -> what is written under the cell, and whether it is right (None for
    neither). Every map has its own scale; those of the heads in `signed` have one around zero, in logits per
    1 % of the image's area.
    """
    heads = ["input", *columns]
    figure, axes = _grid(len(images), heads)
    for row, image in enumerate(images):
        large = enlarge(image)
        axes[row][0].imshow(large)
        for axis, (head, maps) in zip(axes[row][1:], columns.items()):
            level = np.asarray(maps[row], "float64")
            if head in signed:
                axis.imshow(signed_overlay(large, level))
                ends = signed_words(largest(level), level.size)
            else:
                axis.imshow(overlay(large, level))
                ends = range_words(level.min(), level.max())
            _corner(axis, " to ".join(ends))
        for axis, head in zip(axes[row], heads):
            if head in titles[row]:
                text, right = titles[row][head]
                axis.set_xlabel(text, fontsize=8, color=INK[right], labelpad=2)
    if any(head not in signed for head in columns):
        _bar(figure, axes, ATTENTION, ["low", "high"])
    if any(head in signed for head in columns):
        _bar(figure, axes, EVIDENCE, ["against", "for"])
    return pixels(figure)


def _bar(figure, axes, colors, ends: list[str]) -> None:
    scale = matplotlib.cm.ScalarMappable(cmap=colors)
    bar = figure.colorbar(scale, ax=axes, fraction=0.015, pad=0.01, aspect=40)
    bar.set_ticks([0, 1], labels=ends)


def _corner(axis, text: str) -> None:
    box = {"facecolor": "black", "alpha": 0.6, "pad": 1, "linewidth": 0}
    align = {"ha": "right", "va": "bottom", "transform": axis.transAxes}
    axis.text(0.98, 0.02, text, fontsize=6.5, color="white", bbox=box, **align)


def outline_grid(images: np.ndarray, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Images as rows; the input, then each column's masks `(n, H, W)` as outlines, the rest darkened."""
    figure, axes = _grid(len(images), ["input", *columns], label=0.0)
    for row, image in enumerate(images):
        large = enlarge(image)
        axes[row][0].imshow(large)
        for axis, masks in zip(axes[row][1:], columns.values()):
            mask = enlarge(masks[row])
            axis.imshow(np.where(mask[..., None], large, large // 4))
            if mask.any() and not mask.all():
                axis.contour(mask, levels=[0.5], colors=[OUTLINE], linewidths=1.2)
    return pixels(figure)


def question_grid(
    targets: np.ndarray, queries: np.ndarray, names: Sequence[str], own: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """Queries in the top row; below, each target, its own map, and its map under each query.

    Targets and queries are uint8 images, `own` is `(t, h, w)` and `asked` `(q, t, h, w)`. Maps of one target
    share a scale, so that differences are real.
    """
    heads = ["target", "own g", *(f"g of {name}" for name in names)]
    figure, axes = _grid(len(targets) + 1, heads, label=0.0)
    for axis, image in zip(axes[0][2:], queries):
        axis.imshow(enlarge(image))
    axes[0][1].text(0.95, 0.5, "queries:", ha="right", va="center", transform=axes[0][1].transAxes)
    for row, image in enumerate(targets):
        large = enlarge(image)
        axes[row + 1][0].imshow(large)
        maps = [own[row], *asked[:, row]]
        top = max(float(m.max()) for m in maps)
        for axis, level in zip(axes[row + 1][1:], maps):
            axis.imshow(overlay(large, np.asarray(level, "float64"), top))
    return pixels(figure)


def _grid(rows: int, heads: Sequence[str], label: float = 0.14):
    """A figure with a cell for each row and head; `label` is the height of the words under a cell."""
    lines = max(head.count("\n") for head in heads) + 1
    size = (CELL_INCHES * len(heads) + 0.6, (CELL_INCHES + label) * rows + 0.2 * lines)
    figure = new_figure(*size, dpi=GRID_DPI)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.0)
    axes = figure.subplots(rows, len(heads), squeeze=False)
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    for axis, head in zip(axes[0], heads):
        axis.set_title(head, fontsize=8.5)
    return figure, axes
