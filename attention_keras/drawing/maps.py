"""Maps and small images enlarged; maps brought to one scale, laid over an image, and their entropy."""

import numpy as np

from attention_keras.drawing.palette import ATTENTION, EVIDENCE

SHORTEST_SIDE = 160


def enlarge(image: np.ndarray, shortest: int = SHORTEST_SIDE) -> np.ndarray:
    """A small image with each pixel repeated, so that it is shown as it is.

    Args:
        image: `(h, w, c)`.
        shortest: pixels that the shorter side has room for; a larger image stays as it is.

    Returns:
        `(f*h, f*w, c)` with the largest whole number f that fits.

    Example:
        >>> enlarge(np.zeros((32, 40, 3), "uint8")).shape
        (160, 200, 3)
    """
    factor = max(1, shortest // min(image.shape[:2]))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


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


def range_words(low: float, high: float) -> tuple[str, str]:
    """The ends of a map's scale in two digits; a low end below a hundredth of the high one reads 0.

    Example:
        >>> range_words(0.0001, 0.0154)
        ('0', '0.015')
    """
    return f"{low if low > 0.01 * high else 0:.2g}", f"{high:.2g}"


def signed_words(limit: float) -> tuple[str, str]:
    """The ends of a scale around zero.

    Example:
        >>> signed_words(0.0154)
        ('-0.015', '+0.015')
    """
    return f"{-limit:.2g}", f"{limit:+.2g}"


def overlay(
    image: np.ndarray, attention: np.ndarray, maximum: float | None = None, strength: float = 0.65
) -> np.ndarray:
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
    return _blend(image, ATTENTION(heat), strength)


def signed_overlay(image: np.ndarray, evidence: np.ndarray, limit: float | None = None) -> np.ndarray:
    """The image `(H, W, 3)` uint8 in grey, red where the evidence is for the class and blue where against.

    The colour is as strong as the evidence: where there is none, the image itself is seen.

    Args:
        image: RGB pixels.
        evidence: map `(h, w)` of any size, with signs.
        limit: size of the evidence at both ends of the scale; by default the map's own `largest`.

    Returns:
        uint8 `(H, W, 3)`.
    """
    limit = largest(evidence) if limit is None else limit
    share = np.clip(upsample(evidence, image.shape[:2]) / (limit or 1.0), -1, 1)
    return _blend(image, EVIDENCE((1 + np.sign(share)) / 2), 0.85 * np.abs(share)[..., None] ** 0.7)


def largest(evidence: np.ndarray) -> float:
    """The end of a scale around zero: the largest size of a value, whatever its sign."""
    return float(np.abs(evidence).max())


def _blend(image: np.ndarray, colors: np.ndarray, strength) -> np.ndarray:
    """Colours over the image in grey; `strength` is a number or `(H, W, 1)`."""
    grey = image @ np.array([0.299, 0.587, 0.114])
    mixed = (1 - strength) * grey[..., None] + strength * colors[..., :3] * 255
    return np.clip(mixed, 0, 255).round().astype("uint8")


def normalized_entropy(maps: np.ndarray) -> np.ndarray:
    """Entropy of each map, read as a distribution over its cells, divided by its largest possible value.

    Args:
        maps: `(b, h, w)`, not negative.

    Returns:
        `(b,)` in [0, 1]: 0 for a map with one cell that is not zero, 1 for a uniform map. A map of zeros says
        nothing about place and counts as uniform. A map with a single cell has entropy 0.

    Example:
        >>> normalized_entropy(np.array([[[1.0, 0.0]], [[2.0, 2.0]], [[0.0, 0.0]]])).tolist()
        [0.0, 1.0, 1.0]
    """
    flat = maps.reshape(len(maps), -1).astype("float64")
    cells = flat.shape[1]
    if cells == 1:
        return np.zeros(len(maps))
    total = flat.sum(axis=1, keepdims=True)
    share = np.where(total == 0, 1 / cells, flat / np.where(total == 0, 1, total))
    logarithm = np.log(np.where(share > 0, share, 1))
    return np.abs((share * logarithm).sum(axis=1)) / np.log(cells)
