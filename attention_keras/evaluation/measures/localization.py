"""Does attention find the object? The pointing game and the attention inside the mask."""

import numpy as np

from attention_keras.drawing.maps import upsample
from attention_keras.evaluation.measures.perturbation import pixel_order


def pointing_game(maps: np.ndarray, masks: np.ndarray) -> float:
    """Share of images whose attention peak lies on the object.

    The peak is a cell of the map; it is a hit when the object covers any pixel of that cell. (Zhang et
    al. 2018 allow 15 pixels around the peak on 224-pixel images; here the tolerance is the cell.) Of
    equal largest cells the one nearest to their centre of mass is taken, so that a constant map
    points at the middle.

    Args:
        maps: `(n, h, w)`.
        masks: `(n, H, W)` bool.

    Example:
        >>> masks = np.zeros((1, 4, 4), bool)
        >>> masks[0, 0, 0] = True
        >>> pointing_game(np.array([[[1.0, 0.0], [0.0, 0.0]]]), masks)
        1.0
    """
    covered = covered_cells(masks, maps.shape[1:])
    return float(np.mean([cells[_peak(attention)] for attention, cells in zip(maps, covered)]))


def covered_cells(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which cells of a map of `size` (h, w) the object touches: `(n, H, W)` to `(n, h, w)` bool."""
    rows = np.arange(masks.shape[1]) * size[0] // masks.shape[1]
    columns = np.arange(masks.shape[2]) * size[1] // masks.shape[2]
    covered = np.zeros((len(masks), *size), bool)
    image, y, x = np.nonzero(masks)
    covered[image, rows[y], columns[x]] = True
    return covered


def _peak(attention: np.ndarray) -> tuple[int, int]:
    largest = np.argwhere(attention >= attention.max() - 1e-12)
    distance = ((largest - largest.mean(axis=0)) ** 2).sum(axis=1)
    return tuple(largest[distance.argmin()])


def best_fixed_point(covered: np.ndarray) -> float:
    """Hit rate of always pointing at the one cell that is most often on the object.

    What a map scores without looking at the image; attention is worth something above this.

    Args:
        covered: `(n, h, w)` from `covered_cells`.
    """
    return float(np.mean(covered, axis=0).max())


def chance(covered: np.ndarray) -> float:
    """Hit rate of a cell drawn at random."""
    return float(np.mean(covered))


def attention_on_object(maps: np.ndarray, masks: np.ndarray) -> float:
    """Mean share of the attention that lies on the object; uniform attention scores the mask's area.

    Of a map with signs, what speaks for the class counts: values above 0. Relevance mass accuracy of Arras et
    al. 2022.
    """
    shares = []
    for attention, mask in zip(maps, masks):
        large = np.maximum(upsample(attention, mask.shape), 0)
        shares.append(large[mask].sum() / max(large.sum(), 1e-12))
    return float(np.mean(shares))


def rank_accuracy(maps: np.ndarray, masks: np.ndarray, seed: int = 0) -> float:
    """Mean share of the object's K pixels among the K pixels that a map ranks first.

    A random ranking scores the mask's area. Relevance rank accuracy of Arras et al. 2022.

    Args:
        maps: `(n, h, w)`; ties are in random order.
        masks: `(n, H, W)` bool; images without an object are left out.
        seed: of the ties.
    """
    order = pixel_order(maps, masks.shape[1:], seed)
    sizes = masks.reshape(len(masks), -1).sum(axis=1)
    rows = np.flatnonzero(sizes)
    return float(np.mean([masks[row].ravel()[order[row, : sizes[row]]].mean() for row in rows]))


def localize(maps: dict[str, np.ndarray], masks: np.ndarray) -> dict[str, dict[str, float]]:
    """Pointing game and attention on the object for every tap, with what they have to beat.

    Args:
        maps: tap -> `(n, h, w)`.
        masks: `(n, H, W)` bool.
    """
    scores = {}
    for tap, level in maps.items():
        covered = covered_cells(masks, level.shape[1:])
        scores[tap] = {
            "pointing_game": pointing_game(level, masks),
            "best_fixed_point": best_fixed_point(covered),
            "chance": chance(covered),
            "attention_on_object": attention_on_object(level, masks),
            "area_of_object": float(np.mean(masks)),
        }
    return scores
