"""From attention to a mask, and from a mask to a score: weakly supervised segmentation and localisation."""

from collections.abc import Callable, Mapping

import numpy as np
from scipy.ndimage import label as label_parts

from attention_keras.drawing.maps import upsample
from attention_keras.extras import needs

FRACTION = 0.5
ORACLE_LEVELS = 40
BOX_OVERLAP = 0.5
"""CorLoc counts a box as right from this intersection over union on (PASCAL's criterion)."""


def combine(maps: Mapping[str, np.ndarray], size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Each map at image size, and where there are several their product and mean.

    Every map is first divided by its maximum, so that a fine and a coarse tap weigh the same; the product is
    the geometric mean (for two taps the root of the product).

    Args:
        maps: tap -> `(n, h, w)`, not negative.
        size: (H, W).

    Returns:
        Name -> `(n, H, W)` in [0, 1]; names of the taps, `product`, `mean`.
    """
    large = {}
    for tap, level in maps.items():
        at_size = np.stack([upsample(m, size) for m in level])
        highest = at_size.max(axis=(1, 2), keepdims=True)
        large[tap] = at_size / np.where(highest > 0, highest, 1)
    if len(large) > 1:
        levels = np.stack(list(large.values()))
        large["product"] = np.prod(levels, axis=0) ** (1 / len(levels))
        large["mean"] = levels.mean(axis=0)
    return large


def otsu_masks(maps: np.ndarray) -> np.ndarray:
    """Above each map's own Otsu threshold (scikit-image); a constant map is all object.

    Args:
        maps: `(n, H, W)`.

    Returns:
        `(n, H, W)` bool.
    """
    with needs("segmentation", extra="evaluate"):
        from skimage.filters import threshold_otsu
    return np.stack([m > threshold_otsu(m) if np.ptp(m) > 0 else np.ones(m.shape, bool) for m in maps])


def fraction_masks(maps: np.ndarray, fraction: float = FRACTION) -> np.ndarray:
    """At least `fraction` of each map's maximum: `(n, H, W)` to bool."""
    return maps >= fraction * maps.max(axis=(1, 2), keepdims=True)


def oracle_masks(maps: np.ndarray, masks: np.ndarray, levels: int = ORACLE_LEVELS) -> np.ndarray:
    """The threshold with the best Jaccard index for each image, found by looking at the truth.

    An upper bound: what a map is worth if the threshold were no question.
    """
    best = np.zeros_like(masks)
    best_score = np.full(len(maps), -1.0)
    for quantile in np.linspace(0, 1, levels, endpoint=False):
        found = maps >= np.quantile(maps, quantile, axis=(1, 2), keepdims=True)
        score = jaccard(found, masks)
        better = score > best_score
        best[better], best_score[better] = found[better], score[better]
    return best


THRESHOLDS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "otsu": lambda maps, masks: otsu_masks(maps),
    "half of maximum": lambda maps, masks: fraction_masks(maps),
    "oracle": oracle_masks,
}


def centre_box(count: int, size: tuple[int, int], area: float) -> np.ndarray:
    """The same box in the middle of every image, with `area` of its pixels: a guess without looking.

    Example:
        >>> int(centre_box(1, (4, 4), 0.25).sum())
        4
    """
    sides = [max(1, round(side * np.sqrt(area))) for side in size]
    top, left = ((side - inner) // 2 for side, inner in zip(size, sides))
    box = np.zeros((count, *size), bool)
    box[:, top : top + sides[0], left : left + sides[1]] = True
    return box


def jaccard(found: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Intersection over union of each image `(n,)`; two empty masks agree, 1.

    Args:
        found, masks: `(n, H, W)` bool.
    """
    together = (found & masks).sum(axis=(1, 2))
    either = (found | masks).sum(axis=(1, 2))
    return np.where(either > 0, together / np.maximum(either, 1), 1.0)


def precision(found: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Share of pixels, object and background, that are labelled right `(n,)` (Rubinstein et al. 2013)."""
    return (found == masks).mean(axis=(1, 2))


def mask_boxes(masks: np.ndarray) -> np.ndarray:
    """Box `[y0, x0, y1, x1]` (exclusive ends) around the largest connected part of each mask `(n, H, W)`.

    An empty mask has an empty box of zeros.
    """
    boxes = np.zeros((len(masks), 4))
    for row, mask in enumerate(masks):
        parts, count = label_parts(mask)
        if count:
            largest = np.bincount(parts.ravel())[1:].argmax() + 1
            y, x = np.nonzero(parts == largest)
            boxes[row] = y.min(), x.min(), y.max() + 1, x.max() + 1
    return boxes


def box_overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes `(n, 4)`."""
    start = np.maximum(one[:, :2], other[:, :2])
    end = np.minimum(one[:, 2:], other[:, 2:])
    shared = np.prod(np.maximum(end - start, 0), axis=1)
    areas = [np.prod(np.maximum(b[:, 2:] - b[:, :2], 0), axis=1) for b in (one, other)]
    union = areas[0] + areas[1] - shared
    return np.where(union > 0, shared / np.where(union > 0, union, 1), 0.0)


def score_masks(found: np.ndarray, masks: np.ndarray, boxes: np.ndarray | None = None) -> dict[str, float]:
    """Mean Jaccard index and precision, and CorLoc: share of images whose box overlaps the true one by half.

    Args:
        found, masks: `(n, H, W)` bool.
        boxes: `(n, 4)` true boxes; by default those around the true masks.
    """
    true = np.asarray(boxes, "float64") if boxes is not None else mask_boxes(masks)
    return {
        "jaccard": float(jaccard(found, masks).mean()),
        "precision": float(precision(found, masks).mean()),
        "corloc": float(np.mean(box_overlap(mask_boxes(found), true) >= BOX_OVERLAP)),
    }
