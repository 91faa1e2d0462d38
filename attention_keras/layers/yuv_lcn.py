"""YUV with a locally contrast-normalised Y: the pixels of cifar.torch's provider."""

import keras
import numpy as np
from keras import ops

RGB_TO_YUV = np.array(
    [[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]], "float32"
).T
THRESHOLD = 1e-4


def gaussian_kernel(size: int = 7, sigma: float = 0.25) -> np.ndarray:
    """Torch's `image.gaussian1D(size)`, summing to 1; `sigma` is a share of `size`."""
    offsets = np.arange(size) - (size - 1) / 2
    kernel = np.exp(-0.5 * (offsets / (sigma * size)) ** 2)
    return (kernel / kernel.sum()).astype("float32")


@keras.saving.register_keras_serializable(package="attention_keras")
class YUVLocalContrast(keras.layers.Layer):
    """Pixels `(b, h, w, 3)` in RGB to `(b, h, w, 3)`: Y normalised locally, U and V globally.

    Y loses its local mean and is divided by its local standard deviation (at least 1e-4), both under a
    7-tap Gaussian window with zero padding, corrected at the border by the window's share inside the
    image. U and V are standardised by the training split's mean and deviation. Differentiable.
    Source: `provider.lua` of cifar.torch; SpatialContrastiveNormalization of Torch's nn.

    Args:
        mean: mean of U and of V over the training split, length 2.
        deviation: their standard deviations, length 2.

    Example:
        >>> layer = YUVLocalContrast(mean=[0.0, 0.0], deviation=[1.0, 1.0])
        >>> tuple(layer(np.zeros((1, 8, 8, 3), "float32")).shape)
        (1, 8, 8, 3)
    """

    def __init__(self, mean, deviation, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.mean = [float(value) for value in mean]
        self.deviation = [float(value) for value in deviation]

    def call(self, images):
        yuv = ops.matmul(images, RGB_TO_YUV)
        luma, chroma = yuv[..., :1], yuv[..., 1:]
        share = _blur(ops.ones_like(luma[:1]))
        luma = luma - _blur(luma) / share
        # The floor under the root keeps its gradient finite where the image is flat.
        deviation = ops.sqrt(ops.maximum(_blur(ops.square(luma)), THRESHOLD**4)) / share
        luma = luma / ops.maximum(deviation, THRESHOLD)
        chroma = (chroma - ops.array(self.mean, "float32")) / ops.array(self.deviation, "float32")
        return ops.concatenate([luma, chroma], axis=-1)

    def get_config(self):
        return {**super().get_config(), "mean": self.mean, "deviation": self.deviation}


def _blur(luma):
    """The Gaussian window over rows, then columns, with zeros outside the image."""
    kernel = gaussian_kernel()
    luma = ops.conv(luma, kernel.reshape(-1, 1, 1, 1), padding="same", data_format="channels_last")
    return ops.conv(luma, kernel.reshape(1, -1, 1, 1), padding="same", data_format="channels_last")
