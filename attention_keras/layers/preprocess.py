"""Pixel normalisation inside the model, so that every model takes raw pixels in [0, 255]."""

from typing import get_args

import keras
import numpy as np

from attention_keras.errors import UserError
from attention_keras.layers.choices import Preprocessing
from attention_keras.layers.gcn_zca import ContrastWhitening
from attention_keras.layers.yuv_lcn import RGB_TO_YUV, YUVLocalContrast

LARGEST_WHITENED = 48 * 48 * 3
PREPROCESSING = get_args(Preprocessing)


def build_preprocess(kind: str, train_images: np.ndarray) -> keras.layers.Layer:
    """The normalisation layer, with statistics of the training images stored in it.

    Args:
        kind: `none` maps [0, 255] to [-1, 1]; `meanstd` standardises each colour channel;
            `yuv_lcn` and `gcn_zca` are the official code's (see their layers).
        train_images: `(n, h, w, c)` uint8, the training split only.

    Returns:
        A layer from pixels `(b, h, w, c)` to normalised pixels of the same shape.

    Raises:
        ValueError: `kind` is not one of the above.
        UserError: `gcn_zca` on images larger than 48x48.

    Example:
        >>> layer = build_preprocess("meanstd", np.full((2, 4, 4, 3), 8, "uint8"))
    """
    if kind == "none":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="preprocess")
    if kind == "meanstd":
        mean, covariance = channel_statistics(train_images)
        return keras.layers.Normalization(
            mean=mean.tolist(),
            variance=np.maximum(np.diag(covariance), 1e-6).tolist(),
            dtype="float32",
            name="preprocess",
        )
    if kind == "yuv_lcn":
        mean, covariance = channel_statistics(train_images)
        to_uv = RGB_TO_YUV[:, 1:].astype("float64")
        deviation = np.sqrt(np.maximum(np.diag(to_uv.T @ covariance @ to_uv), 1e-12))
        return YUVLocalContrast(mean @ to_uv, deviation, name="preprocess")
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


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean `(c,)` and covariance `(c, c)` of the channels, without a float copy of the set."""
    channels = images.shape[-1]
    total, products = np.zeros(channels), np.zeros((channels, channels))
    for start in range(0, len(images), 1024):
        colours = images[start : start + 1024].reshape(-1, channels).astype("float64")
        total += colours.sum(axis=0)
        products += colours.T @ colours
    count = images.size // channels
    mean = total / count
    return mean, products / count - np.outer(mean, mean)
