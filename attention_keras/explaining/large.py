"""The explanation of an image that need not fit in memory: an overview, and its strongest regions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from attention_keras.data.image_files import read_bands, upright_size
from attention_keras.drawing.cells import Cell, attention_cell, evidence_cell, fitted
from attention_keras.explaining.explanation import TOTAL, Explanation
from attention_keras.models.classifier import probabilities_of
from attention_keras.models.evidence import combine_evidence
from attention_keras.models.outputs import ATTENTION, EVIDENCE, EVIDENCE_REST
from attention_keras.models.taps import TILES
from attention_keras.models.tiled import TiledModel

OVERVIEW, SHOWN = 1024, 448
"""Pixels of the longer side of an overview, and of one in a drawing."""
REGIONS = 3

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False, kw_only=True)
class LargeExplanation(Explanation):
    """Of one image: `images` `(1, H, W, 3)` and `total` are of an overview, `evidence` is of all places.

    `size` is that of the file, and `boxes` of the `regions` that say most for the class are `(left, top,
    right, bottom)` in its pixels; `shares` are the sums of the evidence in them.
    """

    size: tuple[int, int]
    boxes: list[Box]
    regions: list[np.ndarray]
    shares: list[float]

    def cells(self, index: int) -> list:
        image, (height, width) = fitted(self.images[index], SHOWN), self.size
        maps = (self.attention[TILES], self.evidence[TILES])
        attention, evidence = (shrunk(level[index], image.shape[:2]) for level in maps)
        said = evidence_cell(image, evidence, f"for {self._explained(index)}")
        return [Cell(image, f"{width} x {height}"), attention_cell(image, attention, TILES), said]

    def _rows(self, index: int) -> list[list]:
        """The overview with its maps; below, the regions at full resolution, with where they are."""
        below = [
            Cell(pixels, f"x {left} to {right}, y {top} to {bottom}", f"evidence {share:+.2g}")
            for pixels, share, (left, top, right, bottom) in zip(self.regions, self.shares, self.boxes)
        ]
        return [self.cells(index), *[below] * bool(below)]


def explain_large(tiles: TiledModel, model: keras.Model, path: Path, class_names) -> LargeExplanation:
    """What a model on tiles says of an image file, and each place for the predicted class.

    The file is read twice, band by band. Raises UnreadableImage.
    """
    size = upright_size(path, None)
    bands, overview = overview_of(read_bands(path, tiles.side), size, OVERVIEW)
    found = tiles.answer(bands)
    to_probabilities = probabilities_of(model, getattr(model, "temperature", 1.0))
    probabilities = keras.ops.convert_to_numpy(to_probabilities(found.logits[None]))
    best = int(probabilities.argmax())
    evidence = found.evidence[..., best]
    total = combine_evidence({TILES: shrunk(evidence, overview.shape[:2])[None]}, overview.shape[:2])
    boxes, shares = strongest_boxes(evidence, size, tiles.side)
    outputs = {ATTENTION + TILES: found.attention[None, ..., best], EVIDENCE + TILES: evidence[None]}
    outputs |= {TOTAL: keras.ops.convert_to_numpy(total), EVIDENCE_REST: found.rest[None, best]}
    regions = {"boxes": boxes, "regions": read_regions(path, boxes, tiles.side), "shares": shares}
    asked, name = np.array([best]), [path.name]
    of = (overview[None], probabilities, outputs, class_names, asked, name)
    return LargeExplanation.of_outputs(*of, size=size, **regions)


def overview_of(bands: Iterator[np.ndarray], image_size: tuple[int, int], longest: int):
    """The bands as they come, and an array `(h, w, 3)` uint8 of at most `longest` pixels that they fill."""
    height, width = image_size
    scale = min(1.0, longest / max(height, width))
    small = np.zeros((max(1, round(height * scale)), max(1, round(width * scale)), 3), "uint8")

    def through():
        top = 0
        for band in bands:
            first, top = top * len(small) // height, top + len(band)
            if (count := top * len(small) // height - first) > 0:
                shrunk = Image.fromarray(np.ascontiguousarray(band))
                shrunk = shrunk.resize((small.shape[1], count), Image.Resampling.BILINEAR)
                small[first : first + count] = shrunk
            yield band

    return through(), small


def read_regions(path: Path, boxes: list[Box], height: int) -> list[np.ndarray]:
    """The pixels of boxes, at full resolution, in one pass of the file."""
    found = [np.zeros((bottom - top, right - left, 3), "uint8") for left, top, right, bottom in boxes]
    start = 0
    for band in read_bands(path, height):
        for pixels, (left, top, right, _) in zip(found, boxes):
            part = band[max(0, top - start) : max(0, top + len(pixels) - start), left:right]
            first = max(0, start - top)
            pixels[first : first + len(part)] = part
        start += len(band)
    return found


def shrunk(level: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map `(h, w)` with at most `size` places, each the sum of as many as it stands for."""
    for axis, most in enumerate(size):
        starts = np.arange(0, level.shape[axis], -(-level.shape[axis] // most))
        level = np.add.reduceat(level, starts, axis=axis)
    return level


def strongest_boxes(evidence: np.ndarray, size: tuple[int, int], side: int) -> tuple[list[Box], list[float]]:
    """Squares of `side` pixels with the most evidence `(h, w)`, none over another, and how much it is."""
    pixel = max(size[0] / evidence.shape[0], 1), max(size[1] / evidence.shape[1], 1)
    tall, wide = (max(1, min(round(side / p), n)) for p, n in zip(pixel, evidence.shape))
    sums = np.pad(evidence.astype("float64"), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    inside = sums[tall:, wide:] - sums[:-tall, wide:] - sums[tall:, :-wide] + sums[:-tall, :-wide]
    boxes, shares = [], []
    while len(boxes) < REGIONS and inside.max() > 0:
        row, column = np.unravel_index(inside.argmax(), inside.shape)
        top, left = round(row * pixel[0]), round(column * pixel[1])
        boxes.append((left, top, min(left + side, size[1]), min(top + side, size[0])))
        shares.append(float(inside[row, column]))
        inside[max(row - tall + 1, 0) : row + tall, max(column - wide + 1, 0) : column + wide] = -np.inf
    return boxes, shares
