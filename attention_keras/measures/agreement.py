"""How alike two maps of one image are: correlation, rank correlation, total variation."""

import warnings

import numpy as np
from scipy.stats import pearsonr, spearmanr


def rank_correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each pair of maps `(n, h, w)`; 0 where one of them is constant."""
    return _of_each_pair(spearmanr, one, other)


def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each pair of maps `(n, h, w)`; 0 where one of them is constant."""
    return _of_each_pair(pearsonr, one, other)


def _of_each_pair(correlate, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns of constant maps, whose correlation is NaN
        values = [correlate(a.ravel(), b.ravel()).statistic for a, b in zip(one, other)]
    return np.nan_to_num(np.array(values, "float64"))


def total_variation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Half the summed difference of two maps `(n, h, w)` read as distributions: the attention that moved."""
    shares = [m / np.maximum(m.sum(axis=(1, 2), keepdims=True), 1e-12) for m in (one, other)]
    return np.abs(shares[0] - shares[1]).sum(axis=(1, 2)) / 2


def movement(own: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    """How far queries move the maps of one tap, in the mean over all pairs.

    `own` is `(t, h, w)`, the targets' own maps, and `asked` `(q, t, h, w)`, theirs under every query. For
    scale, `between_targets` is the total variation between the own maps of different targets.
    """
    neighbours = np.roll(own, 1, axis=0)
    return {
        "correlation": float(np.mean([correlation(own, maps) for maps in asked])),
        "total_variation": float(np.mean([total_variation(own, maps) for maps in asked])),
        "between_targets": float(total_variation(own, neighbours).mean()) if len(own) > 1 else float("nan"),
    }
