"""Pixel normalisation inside the model, so that every model takes raw pixels in [0, 255]."""

from typing import get_args

import keras
import numpy as np

from attention_keras.errors import UserError
from attention_keras.layers.choices import Preprocessing
from attention_keras.layers.gcn_zca import ContrastWhitening
from attention_keras.layers.yuv_lcn import YUVLocalContrast, chroma_statistics

LARGEST_WHITENED = 48 * 48 * 3
PREPROCESSING = get_args(Preprocessing)


def build_preprocess(kind: str, train_images: np.ndarray) -> keras.layers.Layer:
    """The normalisation layer, with statistics of the training images stored in it.

    Args:
        kind: `none` maps [0, 255] to [-1, 1]; `meanstd` standardises each colour channel;
            `yuv_lcn` and `gcn_zca` are the official code's (see their layers).
        train_images: `(n, h, w, 3)` uint8, the training split only.

    Returns:
        A layer from pixels `(b, h, w, 3)` to normalised pixels of the same shape.

    Raises:
        ValueError: `kind` is not one of the above.
        UserError: `gcn_zca` on images larger than 48x48.

    Example:
        >>> layer = build_preprocess("meanstd", np.full((2, 4, 4, 3), 8, "uint8"))
    """
    if kind == "none":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="preprocess")
    if kind == "meanstd":
        mean, variance = channel_statistics(train_images)
        return keras.layers.Normalization(
            mean=mean.tolist(),
            variance=np.maximum(variance, 1e-6).tolist(),
            dtype="float32",
            name="preprocess",
        )
    if kind == "yuv_lcn":
        mean, deviation = chroma_statistics(train_images)
        return YUVLocalContrast(mean, np.maximum(deviation, 1e-6), name="preprocess")
    if kind == "gcn_zca":
        if train_images[0].size > LARGEST_WHITENED:
            raise UserError(
                "preprocess gcn_zca needs a matrix of (h*w*3)^2 numbers and is offered up to 48x48 pixels; "
                f"these images are {train_images.shape[2]}x{train_images.shape[1]}, use meanstd"
            )
        layer = ContrastWhitening(name="preprocess")
        layer.adapt(train_images)
        return layer
    raise ValueError(f"kind must be one of {', '.join(PREPROCESSING)}; got {kind!r}")


def channel_statistics(images: np.ndarray, chunk: int = 1024) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance `(3,)` over images and positions, exact and without a float copy of the set."""
    total, squares = np.zeros(3, "uint64"), np.zeros(3, "uint64")
    for start in range(0, len(images), chunk):
        part = images[start : start + chunk].reshape(-1, 3).astype("uint32")
        total += part.sum(axis=0, dtype="uint64")
        squares += (part * part).sum(axis=0, dtype="uint64")
    count = images.size // 3
    mean = total / count
    return mean, squares / count - mean**2
