"""Pixel normalisation inside the model, so that every model takes raw pixels in [0, 255]."""

from typing import get_args

import keras
import numpy as np
from keras import ops

from attention_keras.errors import UserError
from attention_keras.layers.choices import Preprocessing

PREPROCESSING = get_args(Preprocessing)
LARGEST_WHITENED = 48 * 48 * 3
RGB_TO_YUV = np.array(
    [[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]], "float32"
).T
LEAST_DEVIATION = 1e-4
CONTRAST_NORM = 55.0
SMALLEST_NORM = 1e-8
FILTER_BIAS = 0.1


def build_preprocess(kind: str, train_images: np.ndarray) -> keras.layers.Layer:
    """The layer that normalises pixels `(b, h, w, c)`, with statistics of the training images stored in it.

    Args:
        kind: `none` maps [0, 255] to [-1, 1]; `meanstd` standardises each colour channel;
            `yuv_lcn` and `gcn_zca` are the official code's (see their layers).
        train_images: `(n, h, w, c)` uint8, the training split only.

    Raises:
        ValueError: `kind` is not one of the above.
        UserError: `gcn_zca` on images larger than 48x48.

    Example:
        >>> layer = build_preprocess("meanstd", np.full((2, 4, 4, 3), 8, "uint8"))
    """
    if kind == "none":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="preprocess")
    if kind in ("meanstd", "yuv_lcn"):
        mean, covariance = _channel_statistics(train_images)
    if kind == "meanstd":
        moments = {"mean": mean.tolist(), "variance": np.maximum(np.diag(covariance), 1e-6).tolist()}
        return keras.layers.Normalization(**moments, dtype="float32", name="preprocess")
    if kind == "yuv_lcn":
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


def _channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean `(c,)` and covariance `(c, c)` of the channels, without a float copy of the set."""
    channels = images.shape[-1]
    total, products = np.zeros(channels), np.zeros((channels, channels))
    for start in range(0, len(images), 1024):
        colours = images[start : start + 1024].reshape(-1, channels).astype("float64")
        total += colours.sum(axis=0)
        products += colours.T @ colours
    count = int(np.prod(images.shape[:-1]))
    mean = total / count
    return mean, products / count - np.outer(mean, mean)


@keras.saving.register_keras_serializable(package="attention_keras")
class YUVLocalContrast(keras.layers.Layer):
    """Pixels `(b, h, w, 3)` in RGB to `(b, h, w, 3)`: Y normalised locally, U and V globally.

    Y loses its local mean and is divided by its local standard deviation (at least 1e-4), both under a
    7-tap Gaussian window with zero padding, corrected at the border by the window's share inside the
    image. U and V are standardised by `mean` and `deviation` of the training split, two numbers each.
    Source: `provider.lua` of cifar.torch; SpatialContrastiveNormalization of Torch's nn.

    Example:
        >>> layer = YUVLocalContrast(mean=[0.0, 0.0], deviation=[1.0, 1.0])
        >>> tuple(layer(np.zeros((1, 8, 8, 3), "float32")).shape)
        (1, 8, 8, 3)
    """

    def __init__(self, mean, deviation, **kwargs):
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.mean = [float(value) for value in mean]
        self.deviation = [float(value) for value in deviation]

    def call(self, images):
        yuv = ops.matmul(images, RGB_TO_YUV)
        luma, chroma = yuv[..., :1], yuv[..., 1:]
        share = _blur(ops.ones_like(luma[:1]))
        luma = luma - _blur(luma) / share
        # The floor under the root keeps its gradient finite where the image is flat.
        deviation = ops.sqrt(ops.maximum(_blur(ops.square(luma)), LEAST_DEVIATION**4)) / share
        luma = luma / ops.maximum(deviation, LEAST_DEVIATION)
        chroma = (chroma - ops.array(self.mean, "float32")) / ops.array(self.deviation, "float32")
        return ops.concatenate([luma, chroma], axis=-1)

    def get_config(self):
        return {**super().get_config(), "mean": self.mean, "deviation": self.deviation}


def gaussian_kernel(size: int = 7, sigma: float = 0.25) -> np.ndarray:
    """Torch's `image.gaussian1D(size)`, summing to 1; `sigma` is a share of `size`."""
    offsets = np.arange(size) - (size - 1) / 2
    kernel = np.exp(-0.5 * (offsets / (sigma * size)) ** 2)
    return (kernel / kernel.sum()).astype("float32")


def _blur(luma):
    """The Gaussian window over rows, then columns, with zeros outside the image."""
    kernel = gaussian_kernel()
    luma = ops.conv(luma, kernel.reshape(-1, 1, 1, 1), padding="same", data_format="channels_last")
    return ops.conv(luma, kernel.reshape(1, -1, 1, 1), padding="same", data_format="channels_last")


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
        super().__init__(**{"dtype": "float32"} | kwargs | {"trainable": False})

    def build(self, input_shape):
        length = int(np.prod(input_shape[1:]))
        self.mean = self.add_weight((length,), "zeros", trainable=False, name="mean")
        self.whitening = self.add_weight((length, length), "identity", trainable=False, name="whitening")

    def adapt(self, images: np.ndarray) -> None:
        """Fit mean and W to uint8 images `(n, h, w, c)` (the training split only), in bounded memory."""
        if not self.built:
            self.build((None, *images.shape[1:]))
        length = self.mean.shape[0]
        total, outer = np.zeros(length), np.zeros((length, length), "float32")
        for start in range(0, len(images), 2048):
            part = images[start : start + 2048].reshape(-1, length)
            part = _normalize_contrast(part.astype("float32"), np)
            total += part.sum(axis=0, dtype="float64")
            outer += part.T @ part
        mean = total / len(images)
        covariance = outer / np.float32(len(images)) - np.outer(mean, mean).astype("float32")
        values, vectors = np.linalg.eigh(covariance + FILTER_BIAS * np.eye(length, dtype="float32"))
        self.mean.assign(mean)
        self.whitening.assign((vectors / np.sqrt(np.maximum(values, FILTER_BIAS))) @ vectors.T)

    def call(self, images):
        vectors = ops.reshape(images, (-1, self.mean.shape[0]))
        whitened = ops.matmul(_normalize_contrast(vectors, ops) - self.mean, self.whitening)
        return ops.reshape(whitened, (-1, *images.shape[1:]))


def _normalize_contrast(vectors, numpy):
    """`(n, m)` to zero mean and norm 55 per row, with the functions of `numpy` (NumPy or keras.ops)."""
    vectors = vectors - numpy.mean(vectors, axis=1, keepdims=True)
    # Under the floor lies only the constant image, which stays zero, with a finite gradient.
    square = numpy.sum(numpy.square(vectors), axis=1, keepdims=True)
    return vectors * (CONTRAST_NORM / numpy.sqrt(numpy.maximum(square, SMALLEST_NORM)))


@keras.saving.register_keras_serializable(package="attention_keras")
class PixelAffine(keras.layers.Layer):
    """Pixels `(b, h, w, c)`: channel j becomes scale_j x_order_j + offset_j, as pretrained networks want
    it."""

    def __init__(self, order, scale, offset, data_format=None, **kwargs):
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.order = [int(channel) for channel in order]
        self.scale = [float(value) for value in scale]
        self.offset = [float(value) for value in offset]
        self.data_format = data_format or keras.config.image_data_format()

    @property
    def is_identity(self) -> bool:
        return self.order == sorted(self.order) and set(self.scale) == {1.0} and set(self.offset) == {0.0}

    def call(self, images):
        axis, shape = (-1, (-1,)) if self.data_format == "channels_last" else (1, (-1, 1, 1))
        scale, offset = (np.reshape(values, shape).astype("float32") for values in (self.scale, self.offset))
        if self.order != sorted(self.order):
            images = ops.take(images, self.order, axis=axis)
        return ops.add(ops.multiply(images, scale), offset)

    def get_config(self):
        values = {name: getattr(self, name) for name in ("order", "scale", "offset", "data_format")}
        return {**super().get_config(), **values}
