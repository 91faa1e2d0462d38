"""Images with their maps beside them, one or a grid of them. Each is uint8 RGB `(h, w, 3)`."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

import numpy as np

from attention_keras.drawing.cells import Cell, attention_cell, compose, evidence_cell, fitted, largest

GRID_SIDE = 168
OUTLINE = (0xFF, 0xD3, 0x3D)
"""Colour of a mask's border."""


def cells(
    image: np.ndarray, maps: Mapping[str, np.ndarray], evidence: Mapping[str, np.ndarray] | None = None
) -> list[Cell]:
    """The image `(H, W, 3)` uint8, then each map `(h, w)` over it under its name.

    Maps of `evidence` have signs; they come last, are of one size, and share one scale around zero.
    """
    image, evidence = fitted(image), evidence or {}
    limit = max((largest(level) for level in evidence.values()), default=0.0)
    shown = [attention_cell(image, level, name) for name, level in maps.items()]
    signed = [evidence_cell(image, level, name, limit) for name, level in evidence.items()]
    return [Cell(image, "input"), *shown, *signed]


def tags_of(probabilities: np.ndarray, thresholds: Sequence[float] | None = None) -> np.ndarray:
    """Which tags an image has: `(..., k)` bool."""
    return probabilities >= np.asarray(0.5 if thresholds is None else thresholds, "float32")


def prediction_title(
    probabilities: np.ndarray,
    class_names: Sequence[str],
    label=None,
    activation: str = "softmax",
    thresholds: Sequence[float] | None = None,
) -> tuple[str, bool | None]:
    """Title of a drawing, and whether the answer is right; None without a label, and of numbers.

    A label is the number of a class, tags `(k,)`, or a number.
    """
    if activation == "linear":
        title = f"{class_names[0]}: {probabilities[0]:.4g}"
        return (title if label is None else f"true: {label:.4g}    predicted {title}"), None
    found = [int(probabilities.argmax())]
    if activation == "sigmoid":
        found = np.flatnonzero(tags_of(probabilities, thresholds)).tolist()
    said = ", ".join(f"{class_names[k]} ({probabilities[k]:.0%})" for k in found) or "no tag"
    if label is None:
        return f"predicted: {said}", None
    true = np.flatnonzero(label).tolist() if activation == "sigmoid" else [int(label)]
    names = ", ".join(class_names[k] for k in true) or "no tag"
    return f"true: {names}    predicted: {said}", found == true


def map_grid(
    images: np.ndarray,
    columns: Mapping[str, np.ndarray],
    titles: Sequence[Mapping[str, tuple[str, bool | None]]],
    *,
    signed: Container[str] = (),
) -> np.ndarray:
    """The paper's figure: images `(n, H, W, 3)` uint8 as rows; the input and maps `(n, h, w)` as columns.

    `titles` says for each image, head -> what is written under the cell, and whether it is right (None for
    neither). Every map has its own scale; those of the heads in `signed` have one around zero.
    """
    rows = []
    for number, image in enumerate(images):
        image = fitted(image, GRID_SIDE)
        row = {"input": Cell(image)}
        for head, maps in columns.items():
            row[head] = (evidence_cell if head in signed else attention_cell)(image, maps[number], "")
        said = {head: titles[number].get(head, ("", None)) for head in row}
        rows.append([replace(row[head], foot=foot, right=right) for head, (foot, right) in said.items()])
    return _grid(["input", *columns], rows)


def outline_grid(images: np.ndarray, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Images as rows; the input, then each column's masks `(n, H, W)` as outlines, the rest darkened."""
    rows = []
    for image, *masks in zip(images, *columns.values()):
        image = fitted(image, GRID_SIDE)
        rows.append([Cell(image), *(Cell(_outlined(image, mask)) for mask in masks)])
    return _grid(["input", *columns], rows)


def _outlined(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The border lies on both sides of where the mask ends, two pixels wide."""
    mask = fitted(mask, max(image.shape[:2]))[..., None]
    border = np.zeros_like(mask)
    border[1:] |= mask[1:] != mask[:-1]
    border[:-1] |= mask[1:] != mask[:-1]
    border[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    border[:, :-1] |= mask[:, 1:] != mask[:, :-1]
    return np.where(border, np.uint8(OUTLINE), np.where(mask, image, image // 4))


def question_grid(
    targets: np.ndarray, queries: np.ndarray, names: Sequence[str], own: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """Queries in the top row; below, each target, its own map, and its map under each query.

    Targets and queries are uint8 images, `own` is `(t, h, w)` and `asked` `(q, t, h, w)`. Maps of one target
    share a scale, so that differences are real.
    """
    rows: list[list[Cell | None]] = [[None, None, *(Cell(fitted(query, GRID_SIDE)) for query in queries)]]
    for row, target in enumerate(targets):
        image, maps = fitted(target, GRID_SIDE), [own[row], *asked[:, row]]
        top = max(float(level.max()) for level in maps)
        rows.append([Cell(image), *(attention_cell(image, level, "", top) for level in maps)])
    return _grid(["target", "own g", *(f"g of {name}" for name in names)], rows)


def _grid(heads: Sequence[str], rows: list) -> np.ndarray:
    """Rows of cells, the first with these heads."""
    blank = Cell(np.full((1, 1, 3), 255, "uint8"))
    first = [replace(cell or blank, head=head) for head, cell in zip(heads, rows[0])]
    return compose([first, *rows[1:]])
