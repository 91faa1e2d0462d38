"""Grids of images: maps or outlines over the same images, one column for each model or method."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from attention_keras.visualize import COLORS, overlay

CELL = 1.55
SHORTEST_SIDE = 160


def enlarge(image: np.ndarray, shortest: int = SHORTEST_SIDE) -> np.ndarray:
    """Small images with each pixel repeated, so that they are shown as they are: `(H, W, 3)`."""
    factor = max(1, shortest // min(image.shape[:2]))
    return np.kron(image, np.ones((factor, factor, 1), image.dtype))


def map_grid(
    images: np.ndarray,
    columns: Mapping[str, np.ndarray],
    titles: Sequence[Mapping[str, tuple[str, bool]]],
    *,
    shared: Mapping[str, str] | None = None,
) -> np.ndarray:
    """The paper's figure: images as rows, and as columns the input and each map, with a colour scale.

    Args:
        images: `(n, H, W, 3)` uint8.
        columns: head (lines apart by a newline) -> maps `(n, h, w)`.
        titles: for each image, head -> what is written under the cell, and whether it is right; the head
            `input` is the image itself.
        shared: head -> name of the group of columns with one scale; by default each map has its own.

    Returns:
        uint8 RGB `(height, width, 3)`.
    """
    heads = ["input", *columns]
    figure, canvas, axes = _axes(len(images), heads)
    tops = {}
    for head, maps in columns.items():
        if shared:
            group = shared[head]
            tops[group] = max(tops.get(group, 0.0), float(maps.max()))
    for row, image in enumerate(images):
        large = enlarge(image)
        axes[row][0].imshow(large)
        for axis, (head, maps) in zip(axes[row][1:], columns.items()):
            attention = np.asarray(maps[row], "float64")
            top = tops[shared[head]] if shared else None
            axis.imshow(overlay(large, attention, top))
            low, high = (0.0, top) if shared else (attention.min(), attention.max())
            axis.text(
                0.98, 0.02, f"{low:.2g} to {high:.2g}", fontsize=6.5, color="white", ha="right",
                transform=axis.transAxes, va="bottom",
                bbox={"facecolor": "black", "alpha": 0.6, "pad": 1, "linewidth": 0},
            )  # fmt: skip
        for axis, head in zip(axes[row], heads):
            if head in titles[row]:
                text, right = titles[row][head]
                axis.set_xlabel(text, fontsize=8, color="#1a7f37" if right else "#cf222e", labelpad=2)
    scale = matplotlib.cm.ScalarMappable(cmap=COLORS)
    bar = figure.colorbar(scale, ax=axes.tolist(), fraction=0.015, pad=0.01, aspect=40)
    bar.set_ticks([0, 1], labels=["low", "high"])
    return _draw(canvas)


def outline_grid(images: np.ndarray, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Images as rows; the input, then each column's masks `(n, H, W)` as outlines, the rest darkened."""
    heads = ["input", *columns]
    _, canvas, axes = _axes(len(images), heads, label=0.0)
    for row, image in enumerate(images):
        large = enlarge(image)
        axes[row][0].imshow(large)
        for axis, masks in zip(axes[row][1:], columns.values()):
            factor = large.shape[0] // image.shape[0]
            mask = np.kron(masks[row], np.ones((factor, factor)))
            axis.imshow(np.where(mask[..., None] > 0, large, large // 4))
            if 0 < mask.mean() < 1:
                axis.contour(mask, levels=[0.5], colors=["#ffd33d"], linewidths=1.2)
    return _draw(canvas)


def _axes(rows: int, heads: Sequence[str], label: float = 0.22):
    lines = max(head.count("\n") for head in heads) + 1
    size = (CELL * len(heads) + 0.6, (CELL + label) * rows + 0.2 * lines)
    figure = Figure(figsize=size, dpi=110, facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.0)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(rows, len(heads), squeeze=False)
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    for axis, head in zip(axes[0], heads):
        axis.set_title(head, fontsize=8.5)
    return figure, canvas, axes


def _draw(canvas: FigureCanvasAgg) -> np.ndarray:
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
