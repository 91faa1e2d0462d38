"""Global contrast normalisation and ZCA whitening: the official `*_whitened.t7` files."""

import keras
import numpy as np
from keras import ops

SCALE = 55.0
FILTER_BIAS = 0.1
SMALLEST_NORM = 1e-8


@keras.saving.register_keras_serializable(package="attention_keras")
class ContrastWhitening(keras.layers.Layer):
    """Pixels `(b, h, w, c)` to whitened pixels of the same shape.

    Each image x, as a vector of length `m = h*w*c`, loses its mean and is scaled to norm 55; then
    (x - mean) W decorrelates the vector over the training split, W = (covariance + 0.1 I)^(-1/2).
    `mean` (m,) and W (m, m) are weights of the layer that training leaves alone; `adapt` fits them.
    Source: pylearn2's `global_contrast_normalize` and `ZCA`, scale 55 as in RESNET/README.md.

    Example:
        >>> layer = ContrastWhitening()
        >>> layer.adapt(np.random.default_rng(0).integers(0, 256, (64, 4, 4, 3), dtype="uint8"))
        >>> tuple(layer(np.zeros((2, 4, 4, 3), "float32")).shape)
        (2, 4, 4, 3)
    """

    def __init__(self, **kwargs):
        kwargs.setdefault("dtype", "float32")
        kwargs["trainable"] = False
        super().__init__(**kwargs)

    def build(self, input_shape):
        length = int(np.prod(input_shape[1:]))
        self.mean = self.add_weight(shape=(length,), initializer="zeros", trainable=False, name="mean")
        self.whitening = self.add_weight(
            shape=(length, length), initializer="identity", trainable=False, name="whitening"
        )

    def adapt(self, images: np.ndarray) -> None:
        """Fit mean and W to uint8 images `(n, h, w, c)` (the training split only)."""
        if not self.built:
            self.build((None, *images.shape[1:]))
        mean, whitening = zca(images)
        self.mean.assign(mean)
        self.whitening.assign(whitening)

    def call(self, images):
        vectors = ops.reshape(images, (-1, self.mean.shape[0]))
        whitened = ops.matmul(_normalize_contrast(vectors, ops) - self.mean, self.whitening)
        return ops.reshape(whitened, (-1, *images.shape[1:]))


def _normalize_contrast(vectors, numpy):
    """`(n, m)` to zero mean and norm 55 per row, with the functions of `numpy` (NumPy or keras.ops)."""
    vectors = vectors - numpy.mean(vectors, axis=1, keepdims=True)
    # Under the floor lies only the constant image, which stays zero, with a finite gradient.
    square = numpy.sum(numpy.square(vectors), axis=1, keepdims=True)
    return vectors * (SCALE / numpy.sqrt(numpy.maximum(square, SMALLEST_NORM)))


def zca(images: np.ndarray, chunk: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    """Mean `(m,)` and whitening matrix `(m, m)` of contrast-normalised images, in bounded memory."""
    length = int(np.prod(images.shape[1:]))
    total, outer = np.zeros(length), np.zeros((length, length), "float32")
    for start in range(0, len(images), chunk):
        part = images[start : start + chunk].reshape(-1, length).astype("float32")
        part = _normalize_contrast(part, np)
        total += part.sum(axis=0, dtype="float64")
        outer += part.T @ part
    mean = total / len(images)
    covariance = outer / np.float32(len(images)) - np.outer(mean, mean).astype("float32")
    values, vectors = np.linalg.eigh(covariance + FILTER_BIAS * np.eye(length, dtype="float32"))
    whitening = (vectors / np.sqrt(np.maximum(values, FILTER_BIAS))) @ vectors.T
    return mean.astype("float32"), whitening.astype("float32")
