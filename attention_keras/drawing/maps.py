"""Maps enlarged, brought to one scale, and laid over an image."""

import matplotlib
import numpy as np

COLORS = matplotlib.colormaps["inferno"]


def upsample(attention: np.ndarray, size: tuple[int, int], how: str = "bilinear") -> np.ndarray:
    """A map `(h, w)` at `size` (H, W), pixel centres aligned and edges held, values untouched.

    Args:
        attention: the map.
        size: height and width wanted.
        how: `bilinear`, or `nearest` to show the cells as they are.

    Raises:
        ValueError: `how` is neither.

    Example:
        >>> upsample(np.array([[0.0, 1.0]]), (1, 4)).tolist()
        [[0.0, 0.25, 0.75, 1.0]]
    """
    if how not in ("bilinear", "nearest"):
        raise ValueError(f"how must be bilinear or nearest; got {how!r}")
    rows, columns = (_weights(old, new, how) for old, new in zip(attention.shape, size))
    return rows @ np.asarray(attention, "float64") @ columns.T


def _weights(old: int, new: int, how: str) -> np.ndarray:
    """Interpolation matrix `(new, old)` of one axis."""
    centre = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    if how == "nearest":
        centre = np.minimum((np.arange(new) + 0.5) * old // new, old - 1)
    low = np.floor(centre).astype(int)
    high = np.minimum(low + 1, old - 1)
    weights = np.zeros((new, old))
    weights[np.arange(new), low] += 1 - (centre - low)
    weights[np.arange(new), high] += centre - low
    return weights


def normalize(attention: np.ndarray, maximum: float | None = None) -> np.ndarray:
    """A map in [0, 1]: from its own minimum to its maximum, or from 0 to a given `maximum` (shared scale).

    A constant map gives zeros, never NaN.
    """
    low = 0.0 if maximum is not None else float(attention.min())
    high = float(attention.max()) if maximum is None else maximum
    return np.clip((attention - low) / (high - low), 0, 1) if high > low else np.zeros_like(attention)


def overlay(image: np.ndarray, attention: np.ndarray, maximum: float | None = None, strength: float = 0.65):
    """The image `(H, W, 3)` uint8 with the map laid over it in colour; hot is where the model looks.

    The image fades to grey where attention is low, so that colour always means attention.

    Args:
        image: RGB pixels.
        attention: map `(h, w)` of any size.
        maximum: top of the scale; by default the map's own maximum.
        strength: opacity of the colours.

    Returns:
        uint8 `(H, W, 3)`.
    """
    heat = normalize(upsample(attention, image.shape[:2]), maximum)
    grey = image @ np.array([0.299, 0.587, 0.114])
    colors = COLORS(heat)[..., :3] * 255
    return np.clip((1 - strength) * grey[..., None] + strength * colors, 0, 255).round().astype("uint8")
