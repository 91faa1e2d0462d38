"""Maps laid over an image in colour, and the ends of their scales in words."""

import numpy as np
from PIL import Image

from attention_keras.drawing.canvas import AGAINST, ATTENTION, FOR
from attention_keras.measures.maps import upsample


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
    return _blend(image, ATTENTION[(heat * 255.999).astype(int)], 0.65)


def signed_overlay(image: np.ndarray, evidence: np.ndarray, limit: float | None = None) -> np.ndarray:
    """The image `(H, W, 3)` uint8 in grey, red where evidence `(h, w)` is for the class, blue where against.

    The colour is as strong as the evidence: where there is none, the image itself is seen. `limit` is the
    absolute value at both ends of the scale, by default the map's own `largest`.
    """
    limit = largest(evidence) if limit is None else limit
    share = np.clip(upsample(evidence, image.shape[:2]) / (limit or 1.0), -1, 1)
    share = share[..., None]
    return _blend(image, np.where(share < 0, AGAINST, FOR), 0.85 * np.abs(share) ** 0.7)


def largest(evidence: np.ndarray) -> float:
    """The end of a scale around zero: the largest absolute value."""
    return float(np.abs(evidence).max())


def _blend(image: np.ndarray, colors: np.ndarray, strength) -> np.ndarray:
    """Colours over the image in grey; `strength` is a number or `(H, W, 1)`."""
    grey = np.asarray(Image.fromarray(image).convert("L"), "float32")[..., None]
    strength = np.asarray(strength, "float32")
    return (grey + strength * (colors.astype("float32") - grey)).round().astype("uint8")
