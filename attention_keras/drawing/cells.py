"""Cells of a drawing: an image with a map over it, words and a scale; and rows of them put together."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from attention_keras.measures.maps import upsample

INK = {None: "black", True: "#1a7f37", False: "#cf222e"}
"""Colour of the words under an image: True for a right answer, False for a wrong one, None for neither."""
ATTENTION = (matplotlib.colormaps["inferno"](np.arange(256))[:, :3] * 255).round().astype("uint8")
"""Colours of attention `(256, 3)`, from low to high."""
AGAINST, FOR = np.array([0x1F, 0x6F, 0xFF]), np.array([0xFF, 0x2A, 0x1F])
_SHARE = np.linspace(-1, 1, 256)[:, None]
EVIDENCE = (255 + abs(_SHARE) * (np.where(_SHARE < 0, AGAINST, FOR) - 255)).round().astype("uint8")
"""Colours of evidence `(256, 3)`: blue speaks against the class, red for it, white says nothing."""

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


def attention_cell(image: np.ndarray, level: np.ndarray, head: str, maximum: float | None = None) -> Cell:
    """`overlay`, with the ends of its scale; a low end below a hundredth of the high one reads 0."""
    low, high = _ends(level, maximum)
    ends = f"{low if low > 0.01 * high else 0:.2g}", f"{high:.2g}"
    return Cell(overlay(image, level, maximum), head, colours=ATTENTION, ends=ends)


def overlay(image: np.ndarray, attention: np.ndarray, maximum: float | None = None) -> np.ndarray:
    """The image `(H, W, 3)` uint8 in grey, the map `(h, w)` over it in colour, hot where the model looks.

    The scale is from the map's own minimum to its maximum, or from 0 to a given `maximum`.
    """
    low, high = _ends(attention, maximum)
    heat = (upsample(attention, image.shape[:2]) - low) / ((high - low) or 1.0)
    return _blend(image, ATTENTION[(np.clip(heat, 0, 1) * 255.999).astype(int)], 0.65)


def _ends(level: np.ndarray, maximum: float | None) -> tuple[float, float]:
    return (float(level.min()), float(level.max())) if maximum is None else (0.0, maximum)


def evidence_cell(image: np.ndarray, level: np.ndarray, head: str, limit: float | None = None) -> Cell:
    """A map with signs over the image; `limit` is at both ends of its scale, by default its `largest`.

    The ends are written in logits per 1 % of the image's area, so that a map says the same at any size.
    """
    limit = largest(level) if limit is None else limit
    share = limit * level.size / 100
    ends = f"{-share:.2g}", f"{share:+.2g}"
    return Cell(signed_overlay(image, level, limit), head, colours=EVIDENCE, ends=ends, unit=PER_AREA)


def signed_overlay(image: np.ndarray, evidence: np.ndarray, limit: float | None = None) -> np.ndarray:
    """The image `(H, W, 3)` uint8 in grey, red where evidence `(h, w)` is for the class, blue where against.

    The colour is as strong as the evidence: where there is none, the image itself is seen.
    """
    limit = largest(evidence) if limit is None else limit
    share = np.clip(upsample(evidence, image.shape[:2]) / (limit or 1.0), -1, 1)[..., None]
    return _blend(image, np.where(share < 0, AGAINST, FOR), 0.85 * np.abs(share) ** 0.7)


def largest(evidence: np.ndarray) -> float:
    """The end of a scale around zero: the largest absolute value."""
    return float(np.abs(evidence).max())


def _blend(image: np.ndarray, colors: np.ndarray, strength) -> np.ndarray:
    """Colours over the image in grey; `strength` is a number or `(H, W, 1)`."""
    grey = np.asarray(Image.fromarray(image).convert("L"), "float32")[..., None]
    strength = np.asarray(strength, "float32")
    return (grey + strength * (colors.astype("float32") - grey)).round().astype("uint8")


def fitted(image: np.ndarray, side: int = SIDE) -> np.ndarray:
    """An image or mask `(h, w, ...)` whose longer side is `side`; small pixels stay squares.

    Of an image of other than three channels the first three are seen, or the first one in grey.
    """
    height, width = image.shape[:2]
    if image.ndim == 3:
        image = image[..., :3] if image.shape[-1] >= 3 else image[..., :1].repeat(3, axis=-1)
    size = [max(1, round(length * side / max(height, width))) for length in (width, height)]
    squares = image.dtype == bool or 2 * max(height, width) <= side
    how = Image.Resampling.NEAREST if squares else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).resize(size, how))


def compose(rows: Sequence[Sequence[Cell | None]], title: str = "", right: bool | None = None) -> np.ndarray:
    """Rows of cells, uint8 RGB `(h, w, 3)`; None leaves a place free. `right` colours the title."""
    side = max(cell.pixels.shape[1] for row in rows for cell in row if cell)
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
        bar = Image.fromarray(np.tile(cell.colours, (BAR[1], 1, 1))).resize(BAR)
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
    font = _font(height)
    while len(words) > 1 and font.getlength(words) > width:
        words = words.removesuffix("…")[:-1] + "…"
    if words:
        pen.text(place, words, fill=ink, font=font, anchor=anchor)


def png(image: np.ndarray) -> bytes:
    """An image, uint8 RGB `(h, w, 3)`, as the content of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png", compress_level=1)  # 6 takes thrice as long for a tenth less
    return buffer.getvalue()


@cache
def _font(height: int) -> ImageFont.FreeTypeFont:
    """Matplotlib's letters, which charts have too."""
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(file, height)
