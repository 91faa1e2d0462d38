"""Grids of images: maps or outlines over the same images, one column for each model or method."""

from collections.abc import Container, Mapping, Sequence

import matplotlib
import numpy as np

from attention_keras.drawing.canvas import new_figure, pixels
from attention_keras.drawing.maps import (
    enlarge,
    largest,
    overlay,
    range_words,
    signed_overlay,
    signed_words,
    upsample,
)
from attention_keras.drawing.palette import ATTENTION, EVIDENCE, INK, OUTLINE

CELL = 1.55


def map_grid(
    images: np.ndarray,
    columns: Mapping[str, np.ndarray],
    titles: Sequence[Mapping[str, tuple[str, bool | None]]],
    *,
    shared: Mapping[str, str] | None = None,
    signed: Container[str] = (),
) -> np.ndarray:
    """The paper's figure: images as rows, and as columns the input and each map, with its colour scale.

    Args:
        images: `(n, H, W, 3)` uint8.
        columns: head (lines apart by a newline) -> maps `(n, h, w)`.
        titles: for each image, head -> what is written under the cell, and whether it is right (None: no
            matter); the head `input` is the image itself.
        shared: head -> name of the group of columns with one scale; by default each map has its own.
        signed: heads of the columns whose maps have signs. Each such map has its own scale around zero.

    Returns:
        uint8 RGB `(h, w, 3)`.
    """
    heads = ["input", *columns]
    figure, axes = _axes(len(images), heads)
    tops = {}
    for head, maps in columns.items():
        if shared:
            group = shared[head]
            tops[group] = max(tops.get(group, 0.0), 0.0 if head in signed else float(maps.max()))
    for row, image in enumerate(images):
        large = enlarge(image)
        axes[row][0].imshow(large)
        for axis, (head, maps) in zip(axes[row][1:], columns.items()):
            level = np.asarray(maps[row], "float64")
            if head in signed:
                axis.imshow(signed_overlay(large, level))
                ends = signed_words(largest(level))
            else:
                top = tops[shared[head]] if shared else None
                axis.imshow(overlay(large, level, top))
                ends = range_words(0.0, top) if top is not None else range_words(level.min(), level.max())
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
    place = {"ha": "right", "va": "bottom", "transform": axis.transAxes}
    axis.text(0.98, 0.02, text, fontsize=6.5, color="white", bbox=box, **place)


def outline_grid(images: np.ndarray, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Images as rows; the input, then each column's masks `(n, H, W)` as outlines, the rest darkened."""
    heads = ["input", *columns]
    figure, axes = _axes(len(images), heads, label=0.0)
    for row, image in enumerate(images):
        large = enlarge(image)
        axes[row][0].imshow(large)
        for axis, masks in zip(axes[row][1:], columns.values()):
            mask = upsample(masks[row], large.shape[:2], "nearest")
            axis.imshow(np.where(mask[..., None] > 0, large, large // 4))
            if 0 < mask.mean() < 1:
                axis.contour(mask, levels=[0.5], colors=[OUTLINE], linewidths=1.2)
    return pixels(figure)


def _axes(rows: int, heads: Sequence[str], label: float = 0.14):
    lines = max(head.count("\n") for head in heads) + 1
    figure = new_figure(CELL * len(heads) + 0.6, (CELL + label) * rows + 0.2 * lines, dpi=110)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.0)
    axes = figure.subplots(rows, len(heads), squeeze=False)
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    for axis, head in zip(axes[0], heads):
        axis.set_title(head, fontsize=8.5)
    return figure, axes


def question_grid(
    targets: np.ndarray, queries: np.ndarray, names: Sequence[str], own: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """Queries in the top row; below, each target, its own attention, and its attention under each query.

    Args:
        targets: `(t, H, W, 3)` uint8.
        queries: `(q, H, W, 3)` uint8.
        names: q names.
        own: `(t, h, w)`.
        asked: `(q, t, h, w)`.

    Returns:
        uint8 RGB `(h, w, 3)`; maps of one target share a scale, so that differences are real.
    """
    figure, axes = _axes(
        len(targets) + 1, ["target", "own g", *(f"g of {name}" for name in names)], label=0.0
    )
    for axis, image in zip(axes[0][2:], queries):
        axis.imshow(enlarge(image))
    axes[0][1].text(0.95, 0.5, "queries:", ha="right", va="center", transform=axes[0][1].transAxes)
    for row, image in enumerate(targets):
        large = enlarge(image)
        axes[row + 1][0].imshow(large)
        maps = [own[row], *asked[:, row]]
        top = max(float(m.max()) for m in maps)
        for axis, attention in zip(axes[row + 1][1:], maps):
            axis.imshow(overlay(large, np.asarray(attention, "float64"), top))
    return pixels(figure)
