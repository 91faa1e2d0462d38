"""Cells of a drawing, each an image with words and a scale, and rows of them put together with Pillow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from attention_keras.drawing.canvas import ATTENTION, EVIDENCE, INK
from attention_keras.drawing.maps import largest, overlay, range_words, signed_overlay, signed_words

SIDE = 224
"""Pixels of the longer side of an image in a cell."""
GAP, BAR = 6, (62, 9)
HEAD, WORDS, SMALL, TITLE = 17, 14, 10, 20
"""Heights of letters, in pixels."""
PER_AREA = "logits per 1 % of the image"


@dataclass(frozen=True, eq=False)
class Cell:
    """Pixels `(h, w, 3)` uint8, what is written over and under them, and the scale of their colours.

    `ends` are the values at the ends of the scale, and `unit` what they are in; `right` colours the `foot`
    green or red.
    """

    pixels: np.ndarray
    head: str = ""
    foot: str = ""
    right: bool | None = None
    colours: np.ndarray | None = None
    ends: tuple[str, str] = ("", "")
    unit: str = ""

    def with_foot(self, foot: str, right: bool | None) -> "Cell":
        """The same with words under it."""
        return replace(self, foot=foot, right=right)


def attention_cell(image: np.ndarray, level: np.ndarray, head: str, maximum: float | None = None) -> Cell:
    """A map `(h, w)` over the image; `maximum` is the top of a scale from 0, by default its own."""
    level = np.asarray(level, "float64")
    low, high = (level.min(), level.max()) if maximum is None else (0.0, maximum)
    return Cell(overlay(image, level, maximum), head, colours=ATTENTION, ends=range_words(low, high))


def evidence_cell(image: np.ndarray, level: np.ndarray, head: str, limit: float | None = None) -> Cell:
    """A map with signs over the image; `limit` is at both ends of its scale, by default its `largest`."""
    level = np.asarray(level, "float64")
    limit = largest(level) if limit is None else limit
    words = signed_words(limit, level.size)
    return Cell(signed_overlay(image, level, limit), head, colours=EVIDENCE, ends=words, unit=PER_AREA)


def seen(image: np.ndarray) -> np.ndarray:
    """The first three channels of an image, or its first one in grey."""
    return image[..., :3] if image.shape[-1] >= 3 else image[..., :1].repeat(3, axis=-1)


def fitted(image: np.ndarray, side: int = SIDE) -> np.ndarray:
    """An image or mask `(h, w, ...)` whose longer side is `side`; small pixels stay squares.

    Example:
        >>> fitted(np.zeros((32, 40, 3), "uint8"), 200).shape
        (160, 200, 3)
    """
    height, width = image.shape[:2]
    image = seen(image) if image.ndim == 3 else image
    size = [max(1, round(length * side / max(height, width))) for length in (width, height)]
    if image.dtype == bool or 2 * max(height, width) <= side:
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.NEAREST))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def compose(rows: Sequence[Sequence[Cell | None]], title: str = "", right: bool | None = None) -> np.ndarray:
    """Rows of cells, uint8 RGB `(h, w, 3)`; None leaves a place free. `right` colours the title."""
    cells = [cell for row in rows for cell in row if cell]
    side = max(cell.pixels.shape[1] for cell in cells)
    width = max(len(row) for row in rows) * (side + GAP) + GAP
    top = TITLE + 2 * GAP if title else GAP
    heights = [[_heights(cell) for cell in row if cell] for row in rows]
    tallest = [[max(parts) for parts in zip(*row)] for row in heights]
    drawn = Image.new("RGB", (width, top + sum(map(sum, tallest)) + GAP), "white")
    pen = ImageDraw.Draw(drawn)
    _write(pen, (width / 2, top / 2), title, TITLE, width - GAP, INK[right])
    for row, (head, body, foot) in zip(rows, tallest):
        for column, cell in enumerate(row):
            if cell:
                left = GAP + column * (side + GAP)
                _draw(drawn, pen, cell, (left, top), (side, head, body))
        top += head + body + foot
    return np.asarray(drawn)


def _heights(cell: Cell) -> tuple[int, int, int]:
    """Of the words over the pixels, of the pixels, and of all under them."""
    head = (HEAD + 4) * (cell.head.count("\n") + 1) if cell.head else 0
    scale = (WORDS + 4) * (cell.colours is not None) + (SMALL + 4) * bool(cell.unit)
    return head, cell.pixels.shape[0], scale + (WORDS + 6) * bool(cell.foot) + GAP


def _draw(drawn: Image.Image, pen: ImageDraw.ImageDraw, cell: Cell, place, sizes) -> None:
    (left, top), (side, head, body) = place, sizes
    middle = left + side / 2
    for number, line in enumerate(reversed(cell.head.split("\n"))):
        _write(pen, (middle, top + head - (HEAD + 4) * (number + 0.5)), line, HEAD, side)
    height, width = cell.pixels.shape[:2]
    corner = (left + (side - width) // 2, top + head + (body - height) // 2)
    drawn.paste(Image.fromarray(cell.pixels), corner)
    under = top + head + body + 2
    if cell.colours is not None:
        bar = np.broadcast_to(cell.colours, (BAR[1], *cell.colours.shape))
        bar = Image.fromarray(np.ascontiguousarray(bar)).resize(BAR)
        drawn.paste(bar, (round(middle - BAR[0] / 2), round(under + (WORDS + 4 - BAR[1]) / 2)))
        for words, way, anchor in zip(cell.ends, (-1, 1), ("rm", "lm")):
            place = (middle + way * (BAR[0] / 2 + 4), under + (WORDS + 4) / 2)
            _write(pen, place, words, WORDS, (side - BAR[0]) / 2 - 4, anchor=anchor)
        under += WORDS + 4
    if cell.unit:
        _write(pen, (middle, under + SMALL / 2), cell.unit, SMALL, side)
        under += SMALL + 4
    _write(pen, (middle, under + WORDS / 2 + 2), cell.foot, WORDS, side, INK[cell.right])


def _write(pen, place, words: str, height: int, width: float, ink: str = INK[None], anchor="mm") -> None:
    """One line, cut where it would be wider than its room."""
    if words:
        pen.text(place, _cut(words, height, width), fill=ink, font=_font(height), anchor=anchor)


@lru_cache(maxsize=1024)
def _cut(words: str, height: int, width: float) -> str:
    font, kept = _font(height), words
    while len(kept) > 1 and font.getlength(kept) > width:
        kept = kept.removesuffix("…")[:-1] + "…"
    return kept


@cache
def _font(height: int) -> ImageFont.FreeTypeFont:
    """Matplotlib's letters, which charts have too."""
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(file, height)
