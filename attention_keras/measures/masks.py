"""From a map to a mask, and from a mask to a score: weakly supervised segmentation and localisation."""

from collections.abc import Mapping

import numpy as np
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops

from attention_keras.measures.maps import upsample

ORACLE_LEVELS = 40
BOX_OVERLAP = 0.5
"""CorLoc counts a box as right from this intersection over union on (PASCAL's criterion)."""


def at_one_scale(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Maps `(n, h, w)`, not negative, at `size` and divided by their maximum, so that all weigh the same."""
    large = np.stack([upsample(level, size) for level in maps])
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
    """The threshold with the best Jaccard index for each image, chosen by looking at the true masks.

    An upper bound: what a map is worth if the threshold were no question.
    """
    best = np.zeros_like(masks)
    best_score = np.full(len(maps), -1.0)
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


def precision(guess: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Share of pixels, object and background, that are labelled right `(n,)` (Rubinstein et al. 2013)."""
    return (guess == masks).mean(axis=(1, 2))


def mask_boxes(masks: np.ndarray) -> np.ndarray:
    """Box `[y0, x0, y1, x1]` (exclusive ends) around the largest connected part of each mask `(n, H, W)`.

    An empty mask has an empty box of zeros.
    """
    boxes = np.zeros((len(masks), 4))
    for row, mask in enumerate(masks):
        if parts := regionprops(label(mask, connectivity=1)):
            boxes[row] = max(parts, key=lambda part: part.area).bbox
    return boxes


def box_overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes `(n, 4)`."""
    start = np.maximum(one[:, :2], other[:, :2])
    end = np.minimum(one[:, 2:], other[:, 2:])
    shared = np.prod(np.maximum(end - start, 0), axis=1)
    areas = [np.prod(np.maximum(b[:, 2:] - b[:, :2], 0), axis=1) for b in (one, other)]
    union = areas[0] + areas[1] - shared
    return np.where(union > 0, shared / np.where(union > 0, union, 1), 0.0)


def score_masks(guess: np.ndarray, masks: np.ndarray, boxes: np.ndarray | None = None) -> dict[str, float]:
    """Mean Jaccard index and precision, and CorLoc: share of images whose box overlaps the true one by half.

    The true boxes `(n, 4)` are by default those around the true masks.
    """
    true = np.asarray(boxes, "float64") if boxes is not None else mask_boxes(masks)
    return {
        "jaccard": float(jaccard(guess, masks).mean()),
        "precision": float(precision(guess, masks).mean()),
        "corloc": float(np.mean(box_overlap(mask_boxes(guess), true) >= BOX_OVERLAP)),
    }
