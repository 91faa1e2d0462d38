"""How alike are two maps of one image? Correlation, rank correlation, total variation."""

import numpy as np
from scipy.stats import rankdata


def rank_correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each pair of maps; 0 where one of them is constant and so has no order.

    Args:
        one, other: `(n, h, w)`.
    """
    return correlation(*(np.stack([rankdata(m) for m in maps]) for maps in (one, other)))


def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each pair `(n, ...)`; 0 where one of them is constant."""
    flat = [m.reshape(len(m), -1).astype("float64") for m in (one, other)]
    # Ten significant digits: what rounding leaves of a constant is not an order.
    centred = [m - m.mean(axis=1, keepdims=True) for m in flat]
    constant = [np.abs(c).max(axis=1) <= 1e-10 * np.abs(m).max(axis=1) for c, m in zip(centred, flat)]
    norms = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    defined = ~(constant[0] | constant[1]) & (norms > 0)
    return np.where(defined, (centred[0] * centred[1]).sum(axis=1) / np.where(defined, norms, 1), 0.0)


def total_variation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Half the summed difference of two maps `(n, h, w)` read as distributions: the attention that moved.

    Example:
        >>> total_variation(np.array([[[1.0, 0.0]]]), np.array([[[0.25, 0.75]]])).tolist()
        [0.75]
    """
    shares = [m / np.maximum(m.sum(axis=(1, 2), keepdims=True), 1e-12) for m in (one, other)]
    return np.abs(shares[0] - shares[1]).sum(axis=(1, 2)) / 2


def movement(own: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    """How far the queries move the maps of one tap.

    Args:
        own: `(t, h, w)`.
        asked: `(q, t, h, w)`.

    Returns:
        Means over all pairs: `correlation` and `total_variation` with the target's own map, and
        `between_targets`, the total variation between the own maps of different targets, for scale.
    """
    pairs = [(own, maps) for maps in asked]
    neighbours = np.roll(own, 1, axis=0)
    return {
        "correlation": float(np.mean([correlation(*pair) for pair in pairs])),
        "total_variation": float(np.mean([total_variation(*pair) for pair in pairs])),
        "between_targets": float(total_variation(own, neighbours).mean()) if len(own) > 1 else float("nan"),
    }
