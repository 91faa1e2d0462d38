"""Does a map show where the object is? Against masks and boxes, and on mosaics of four images."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops

from attention_keras.measures.faithfulness import pixel_order
from attention_keras.measures.maps import upsample

QUARTERS = 4
CHANCE = 1 / QUARTERS
ORACLE_LEVELS = 40
BOX_OVERLAP = 0.5  # CorLoc counts a box as right from this intersection over union on, as PASCAL does


def pointing_game(maps: np.ndarray, masks: np.ndarray) -> float:
    """Share of the maps `(n, h, w)` whose peak lies on the object, of masks `(n, H, W)` bool.

    A cell is a hit where the object covers any of its pixels (Zhang et al. 2018 allow 15 of 224 pixels). Of
    equal largest cells the one nearest to their centre is taken: a constant map points at the middle.
    """
    hits = []
    for level, cells in zip(maps, covered_cells(masks, maps.shape[1:])):
        largest = np.argwhere(level >= level.max() - 1e-12)
        distance = ((largest - largest.mean(axis=0)) ** 2).sum(axis=1)
        hits.append(cells[tuple(largest[distance.argmin()])])
    return float(np.mean(hits))


def covered_cells(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which cells of a map of `size` (h, w) the object touches: `(n, H, W)` to `(n, h, w)` bool."""
    rows = np.arange(masks.shape[1]) * size[0] // masks.shape[1]
    columns = np.arange(masks.shape[2]) * size[1] // masks.shape[2]
    covered = np.zeros((len(masks), *size), bool)
    image, y, x = np.nonzero(masks)
    covered[image, rows[y], columns[x]] = True
    return covered


def mass_on_object(maps: np.ndarray, masks: np.ndarray) -> float:
    """Mean share of a map's values above 0 on the object (Arras et al. 2022); of a uniform map its area."""
    shares = []
    for level, mask in zip(maps, masks):
        large = np.maximum(upsample(level, mask.shape), 0)
        shares.append(large[mask].sum() / max(large.sum(), 1e-12))
    return float(np.mean(shares))


def rank_accuracy(maps: np.ndarray, masks: np.ndarray, seed: int = 0) -> float:
    """Mean share of the object's K pixels among the K pixels that a map ranks first (Arras et al. 2022).

    A random ranking scores the mask's area; images without an object are left out.
    """
    order = pixel_order(maps, masks.shape[1:], seed)
    sizes = masks.reshape(len(masks), -1).sum(axis=1)
    rows = np.flatnonzero(sizes)
    return float(np.mean([masks[row].ravel()[order[row, : sizes[row]]].mean() for row in rows]))


def localize(maps: dict[str, np.ndarray], masks: np.ndarray) -> dict[str, dict[str, float]]:
    """For each map `(n, h, w)` by name: its peak and its mass on the object, with what they have to beat: the
    one cell that is most often on the object, a random cell, and a uniform map."""
    scores = {}
    for name, level in maps.items():
        covered = covered_cells(masks, level.shape[1:])
        scores[name] = {
            "pointing_game": pointing_game(level, masks),
            "best_fixed_point": float(covered.mean(axis=0).max()),
            "chance": float(covered.mean()),
            "attention_on_object": mass_on_object(level, masks),
            "area_of_object": float(np.mean(masks)),
        }
    return scores


class Mosaics(NamedTuple):
    """Images `(m, H, W, 3)`, and the classes `(m, 4)`: top left, top right, bottom left, bottom right."""

    images: np.ndarray
    classes: np.ndarray


def make_mosaics(images: np.ndarray, labels: np.ndarray, count: int, seed: int = 0) -> Mosaics:
    """Mosaics, at the size of the images, of four of different classes, each the mean of 2 x 2 pixels."""
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if len(groups) < QUARTERS:
        raise ValueError(f"a mosaic needs images of {QUARTERS} classes; got {len(groups)}")
    generator = np.random.default_rng(seed)
    rows = np.array([
        [generator.choice(groups[group]) for group in generator.choice(len(groups), QUARTERS, replace=False)]
        for _ in range(count)
    ])  # fmt: skip
    height, width = images.shape[1:3]
    high, wide = height // 2, width // 2
    even = np.asarray(images[rows.ravel()][:, : 2 * high, : 2 * wide], "float32")
    small = even.reshape(count, 2, 2, high, 2, wide, 2, 3).mean(axis=(4, 6))
    mosaic = small.swapaxes(2, 3).reshape(count, 2 * high, 2 * wide, 3)
    # The last pixel of an odd side is repeated.
    mosaic = np.pad(mosaic, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return Mosaics(mosaic, labels[rows])


def own_quarter(maps: np.ndarray, quarters: np.ndarray) -> np.ndarray:
    """Share `(n,)` of each map's values above 0 in the quarter, 0 to 3, of the class asked about; `CHANCE`
    where nothing speaks for it, NaN where a value is."""
    count, height, width = maps.shape
    # Half cells, so that a cell across the middle belongs to both sides.
    cells = np.maximum(maps, 0).repeat(2, axis=1).repeat(2, axis=2)
    parts = cells.reshape(count, 2, height, 2, width).sum(axis=(2, 4)).reshape(count, QUARTERS)
    total = parts.sum(axis=1)
    return np.where(total == 0, CHANCE, parts[np.arange(count), quarters] / np.where(total == 0, 1, total))


def at_one_scale(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Maps `(n, h, w)`, not negative, at `size` and divided by their maximum, so that all weigh the same."""
    large = upsample(maps, size)
    highest = large.max(axis=(1, 2), keepdims=True)
    return large / np.where(highest > 0, highest, 1)


def combine(maps: Mapping[str, np.ndarray], size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Maps of several taps at one scale, and their `product` (the geometric mean) and `mean`: `(n, H, W)`."""
    large = {tap: at_one_scale(level, size) for tap, level in maps.items()}
    if len(large) > 1:
        levels = np.stack(list(large.values()))
        large["product"] = np.prod(levels, axis=0) ** (1 / len(levels))
        large["mean"] = levels.mean(axis=0)
    return large


def otsu_masks(maps: np.ndarray) -> np.ndarray:
    """`(n, H, W)` bool, above each map's own Otsu threshold; a constant map is all object."""
    return np.stack([m > threshold_otsu(m) if np.ptp(m) > 0 else np.ones(m.shape, bool) for m in maps])


def oracle_masks(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """By the threshold with the best Jaccard index for each image: an upper bound, for it sees the truth."""
    best, best_score = np.zeros_like(masks), np.full(len(maps), -1.0)
    for quantile in np.linspace(0, 1, ORACLE_LEVELS, endpoint=False):
        cut = maps >= np.quantile(maps, quantile, axis=(1, 2), keepdims=True)
        score = jaccard(cut, masks)
        better = score > best_score
        best[better], best_score[better] = cut[better], score[better]
    return best


def centre_box(count: int, size: tuple[int, int], area: float) -> np.ndarray:
    """The same box in the middle of every image, with `area` of its pixels: a guess without looking."""
    sides = [max(1, round(side * np.sqrt(area))) for side in size]
    top, left = ((side - inner) // 2 for side, inner in zip(size, sides))
    box = np.zeros((count, *size), bool)
    box[:, top : top + sides[0], left : left + sides[1]] = True
    return box


def jaccard(guess: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Intersection over union of each image `(n,)`, of masks `(n, H, W)` bool; two empty masks agree, 1."""
    together = (guess & masks).sum(axis=(1, 2))
    either = (guess | masks).sum(axis=(1, 2))
    return np.where(either > 0, together / np.maximum(either, 1), 1.0)


def mask_boxes(masks: np.ndarray) -> np.ndarray:
    """Box `[y0, x0, y1, x1]` (exclusive ends) around the largest connected part of each mask, or zeros."""
    boxes = np.zeros((len(masks), 4))
    for row, mask in enumerate(masks):
        if parts := regionprops(label(mask, connectivity=1)):
            boxes[row] = max(parts, key=lambda part: part.area).bbox
    return boxes


def box_overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes `(n, 4)`."""
    both = np.hstack([np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])])
    shared, *areas = (np.prod(np.maximum(b[:, 2:] - b[:, :2], 0), axis=1) for b in (both, one, other))
    return shared / np.maximum(sum(areas) - shared, 1e-12)


def score_masks(guess: np.ndarray, masks: np.ndarray, boxes: np.ndarray | None = None) -> dict[str, float]:
    """Mean Jaccard index; precision, the share of pixels labelled right (Rubinstein et al. 2013); and CorLoc,
    that of images whose box overlaps the true one by half, by default the one around the true mask."""
    true = np.asarray(boxes, "float64") if boxes is not None else mask_boxes(masks)
    return {
        "jaccard": float(jaccard(guess, masks).mean()),
        "precision": float((guess == masks).mean()),
        "corloc": float(np.mean(box_overlap(mask_boxes(guess), true) >= BOX_OVERLAP)),
    }
