"""Does a map show what the network uses? Pixels changed in the map's order, and how alike two maps are."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import pearsonr, spearmanr

from attention_keras.measures.maps import upsample

BLUR = 5.0
"""Standard deviation, in pixels of a 32-pixel image, of the blurred image that insertion starts from."""


@dataclass(frozen=True, eq=False)
class Curves:
    """Probability of the target `(n, p)` at each fraction `(p,)` of pixels changed, from 0 to 1."""

    fractions: np.ndarray
    probabilities: np.ndarray

    @property
    def areas(self) -> np.ndarray:
        """`(n,)` area under each curve by the trapezoidal rule, in [0, 1]; NaN where a value is missing."""
        return np.trapezoid(self.probabilities, self.fractions, axis=1)


def change_points(pixels: int, steps: int) -> np.ndarray:
    """Numbers of pixels changed: equal steps and a short last one, both end points included."""
    return np.unique([*range(0, pixels, -(-pixels // steps)), pixels])


def pixel_order(maps: np.ndarray, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Flat pixels `(n, H*W)` from the most to the least important by maps `(n, h, w)`, enlarged to `size`.

    Ties are in random order, fixed by the image's number. A row of a map that is not finite is all -1.
    """
    order = np.full((len(maps), size[0] * size[1]), -1)
    for row, level in enumerate(maps):
        large = upsample(level, size).ravel()
        if np.isfinite(large).all():
            noise = np.random.default_rng([seed, row]).permutation(large.size)
            order[row] = np.lexsort((noise, -large))
    return order


def perturbation_curves(
    predict: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    end: np.ndarray,
    order: np.ndarray,
    targets: np.ndarray,
    steps: int = 16,
) -> Curves:
    """Turn `start` into `end` pixel by pixel, in the order of `pixel_order`, for the target's probability.

    Deletion ends in a baseline, insertion begins with one (Petsiuk et al. 2018; torch-cam's protocol of 2026:
    both end points, area over the fraction really changed). An image without a valid order has NaN.
    """
    count, height, width = start.shape[:3]
    points = change_points(height * width, steps)
    probabilities = np.full((count, len(points)), np.nan)
    for row in np.flatnonzero(order[:, 0] >= 0):
        rank = np.empty(height * width, int)
        rank[order[row]] = np.arange(height * width)
        changed = (rank[None] < points[:, None]).reshape(len(points), height, width, 1)
        probabilities[row] = predict(np.where(changed, end[row], start[row]))[:, targets[row]]
    return Curves(points / (height * width), probabilities)


def baselines(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each image in its mean colour, where deletion ends, and blurred, where insertion starts."""
    images = np.asarray(images, "float32")
    mean = np.broadcast_to(images.mean(axis=(1, 2), keepdims=True), images.shape)
    sigma = BLUR * images.shape[1] / 32
    return mean, gaussian_filter(images, (0, sigma, sigma, 0))


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean of the finite values, and its standard error (NaN below two values)."""
    valid = np.asarray(values, "float64")
    valid = valid[np.isfinite(valid)]
    error = valid.std(ddof=1) / np.sqrt(len(valid)) if len(valid) > 1 else np.nan
    return float(valid.mean() if len(valid) else np.nan), float(error)


def correlations(one: np.ndarray, other: np.ndarray, *, ranks: bool) -> np.ndarray:
    """Of each pair of maps `(n, h, w)`, Spearman's (of `ranks`) or Pearson's; 0 where one map is constant."""
    correlate = spearmanr if ranks else pearsonr
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns of constant maps, whose correlation is NaN
        values = [correlate(a.ravel(), b.ravel()).statistic for a, b in zip(one, other)]
    return np.nan_to_num(np.array(values, "float64"))


def mean_rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Of the maps `(n, h, w)` that are finite in both; NaN where there are none."""
    finite = np.isfinite(one).all(axis=(1, 2)) & np.isfinite(other).all(axis=(1, 2))
    return mean_and_error(correlations(one[finite], other[finite], ranks=True))[0]


def total_variation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Half the summed difference of two maps `(n, h, w)` read as distributions: the attention that moved."""
    shares = [m / np.maximum(m.sum(axis=(1, 2), keepdims=True), 1e-12) for m in (one, other)]
    return np.abs(shares[0] - shares[1]).sum(axis=(1, 2)) / 2


def movement(own: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    """How far queries move the maps of one tap, in the mean over all pairs.

    `own` is `(t, h, w)`, the targets' own maps, and `asked` `(q, t, h, w)`, theirs under every query. For
    scale, `between_targets` is the total variation between the own maps of different targets.
    """
    between = total_variation(own, np.roll(own, 1, axis=0)).mean() if len(own) > 1 else np.nan
    return {
        "correlation": float(np.mean([correlations(own, maps, ranks=False) for maps in asked])),
        "total_variation": float(np.mean([total_variation(own, maps) for maps in asked])),
        "between_targets": float(between),
    }
