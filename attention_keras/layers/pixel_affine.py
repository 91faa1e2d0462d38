"""Order, scale and offset of colour channels: what pretrained networks want done to pixels."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="attention_keras")
class PixelAffine(keras.layers.Layer):
    """Pixels `(b, h, w, c)` to `(b, h, w, c)`: channel j becomes scale_j x_order_j + offset_j, in float32.

    Args:
        order: the channel that each output channel is made of; `[2, 1, 0]` turns RGB into BGR.
        scale: a factor for each output channel.
        offset: a number added to each output channel.
        data_format: `channels_last` or `channels_first`; Keras's own setting by default.

    Example:
        >>> layer = PixelAffine([2, 1, 0], [1, 1, 1], [-100, 0, 0])
        >>> np.asarray(layer(np.array([[[[10.0, 20.0, 30.0]]]]))).ravel().tolist()
        [-70.0, 20.0, 10.0]
    """

    def __init__(self, order, scale, offset, data_format=None, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.order = [int(channel) for channel in order]
        self.scale = [float(value) for value in scale]
        self.offset = [float(value) for value in offset]
        self.data_format = data_format or keras.config.image_data_format()

    @property
    def is_identity(self) -> bool:
        """True where every pixel stays as it is."""
        return self.order == sorted(self.order) and set(self.scale) == {1.0} and set(self.offset) == {0.0}

    def call(self, images):
        axis, shape = (-1, (-1,)) if self.data_format == "channels_last" else (1, (-1, 1, 1))
        scale = np.reshape(self.scale, shape).astype("float32")
        offset = np.reshape(self.offset, shape).astype("float32")
        if self.order != sorted(self.order):
            images = ops.take(images, self.order, axis=axis)
        return ops.add(ops.multiply(images, scale), offset)

    def get_config(self):
        values = {name: getattr(self, name) for name in ("order", "scale", "offset", "data_format")}
        return {**super().get_config(), **values}
