"""A map at image size, and how spread out it is."""

import numpy as np


def upsample(level: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map `(h, w)`, or several, at `size` (H, W) by bilinear interpolation; pixel centres are aligned, and
    edges held."""
    weights = []  # `(new, old)`, of every old cell in every new one, along each axis
    for old, new in zip(level.shape[-2:], size):
        centre = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        weights.append(np.maximum(1 - np.abs(centre[:, None] - np.arange(old)), 0))
    return weights[0] @ np.asarray(level, "float64") @ weights[1].T


def normalized_entropy(maps: np.ndarray) -> np.ndarray:
    """Entropy of each map `(n, h, w)`, a distribution over its cells: from 0 for one cell to 1 for uniform.
    A map of zeros counts as uniform; that of a single cell has entropy 0."""
    flat = maps.reshape(len(maps), -1).astype("float64")
    cells = flat.shape[1]
    if cells == 1:
        return np.zeros(len(maps))
    total = flat.sum(axis=1, keepdims=True)
    share = np.where(total == 0, 1 / cells, flat / np.where(total == 0, 1, total))
    logarithm = np.log(np.where(share > 0, share, 1))
    return np.abs((share * logarithm).sum(axis=1)) / np.log(cells)
