"""Maps laid over an image in colour, and the ends of their scales in words."""

import numpy as np

from attention_keras.drawing.canvas import ATTENTION, EVIDENCE
from attention_keras.measures.maps import upsample

SHORTEST_SIDE = 160


def enlarge(image: np.ndarray, shortest: int = SHORTEST_SIDE) -> np.ndarray:
    """A small image `(h, w, ...)` with each pixel repeated until its shorter side is about `shortest`.

    A larger image stays as it is.

    Example:
        >>> enlarge(np.zeros((32, 40, 3), "uint8")).shape
        (160, 200, 3)
    """
    factor = max(1, shortest // min(image.shape[:2]))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def normalize(level: np.ndarray, maximum: float | None = None) -> np.ndarray:
    """A map in [0, 1]: from its own minimum to its maximum, or from 0 to a given `maximum` (shared scale).

    A constant map gives zeros, never NaN.
    """
    low = 0.0 if maximum is not None else float(level.min())
    high = float(level.max()) if maximum is None else maximum
    return np.clip((level - low) / (high - low), 0, 1) if high > low else np.zeros_like(level)


def range_words(low: float, high: float) -> tuple[str, str]:
    """The ends of a map's scale in two digits; a low end below a hundredth of the high one reads 0.

    Example:
        >>> range_words(0.0001, 0.0154)
        ('0', '0.015')
    """
    return f"{low if low > 0.01 * high else 0:.2g}", f"{high:.2g}"


def signed_words(limit: float, places: int) -> tuple[str, str]:
    """The ends of a scale around zero, in logits per 1 % of the image's area.

    `limit` is in logits per place, of a map of so many places. So a map says the same at any size.

    Example:
        >>> signed_words(0.00041, 224 * 224)
        ('-0.21', '+0.21')
    """
    share = limit * places / 100
    return f"{-share:.2g}", f"{share:+.2g}"


def overlay(image: np.ndarray, attention: np.ndarray, maximum: float | None = None) -> np.ndarray:
    """The image `(H, W, 3)` uint8 in grey, the map `(h, w)` over it in colour, hot where the model looks.

    `maximum` is the top of the scale, by default the map's own.
    """
    heat = normalize(upsample(attention, image.shape[:2]), maximum)
    return _blend(image, ATTENTION(heat), 0.65)


def signed_overlay(image: np.ndarray, evidence: np.ndarray, limit: float | None = None) -> np.ndarray:
    """The image `(H, W, 3)` uint8 in grey, red where evidence `(h, w)` is for the class, blue where against.

    The colour is as strong as the evidence: where there is none, the image itself is seen. `limit` is the
    absolute value at both ends of the scale, by default the map's own `largest`.
    """
    limit = largest(evidence) if limit is None else limit
    share = np.clip(upsample(evidence, image.shape[:2]) / (limit or 1.0), -1, 1)
    return _blend(image, EVIDENCE((1 + np.sign(share)) / 2), 0.85 * np.abs(share)[..., None] ** 0.7)


def largest(evidence: np.ndarray) -> float:
    """The end of a scale around zero: the largest absolute value."""
    return float(np.abs(evidence).max())


def _blend(image: np.ndarray, colors: np.ndarray, strength) -> np.ndarray:
    """Colours over the image in grey; `strength` is a number or `(H, W, 1)`."""
    grey = image @ np.array([0.299, 0.587, 0.114])
    mixed = (1 - strength) * grey[..., None] + strength * colors[..., :3] * 255
    return np.clip(mixed, 0, 255).round().astype("uint8")
