"""An image of any size as tiles of one size, and the maps of the tiles as one map of the image."""

import keras
from keras import ops


class _OfTiles(keras.layers.Layer):
    """What both layers know: the `side` of a tile, and the `margin` around what is kept, in pixels."""

    def __init__(self, side: int, margin: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.side, self.margin = side, margin

    @property
    def step(self) -> int:
        """Pixels from one tile to the next."""
        return self.side - 2 * self.margin

    def get_config(self):
        return {**super().get_config(), "side": self.side, "margin": self.margin}


@keras.saving.register_keras_serializable(package="attention_keras")
class Tiles(_OfTiles):
    """Images `(b, H, W, c)` -> overlapping tiles `(b * rows * columns, side, side, c)`; the border is
    repeated."""

    def call(self, images):
        batch, height, width, channels = ops.shape(images)
        for axis, length in ((1, height), (2, width)):
            count = -(-length // self.step)
            starts = ops.arange(count, dtype="int32")[:, None] * self.step - self.margin
            places = ops.reshape(starts + ops.arange(self.side), (-1,))
            images = ops.take(images, ops.clip(places, 0, length - 1), axis=axis)
        rows, columns = -(-height // self.step), -(-width // self.step)
        images = ops.reshape(images, (batch, rows, self.side, columns, self.side, channels))
        images = ops.transpose(images, (0, 1, 3, 2, 4, 5))
        return ops.reshape(images, (batch * rows * columns, self.side, self.side, channels))

    def compute_output_shape(self, images_shape):
        return None, self.side, self.side, images_shape[-1]


@keras.saving.register_keras_serializable(package="attention_keras")
class JoinTiles(_OfTiles):
    """The maps `(b * rows * columns, h, w, c)` of the tiles of images -> one map of each image, of `ceil(H *
    h / side)` by `ceil(W * w / side)` places, without the margins."""

    def call(self, maps, images):
        batch, height, width, _ = ops.shape(images)
        _, h, w, channels = ops.shape(maps)
        rows, columns = -(-height // self.step), -(-width // self.step)
        cut = self.margin * h // self.side
        maps, h, w = maps[:, cut : h - cut, cut : w - cut], h - 2 * cut, w - 2 * cut
        joined = ops.reshape(maps, (batch, rows, columns, h, w, channels))
        joined = ops.transpose(joined, (0, 1, 3, 2, 4, 5))
        joined = ops.reshape(joined, (batch, rows * h, columns * w, channels))
        return joined[:, : -(-height * h // self.step), : -(-width * w // self.step)]

    def compute_output_shape(self, maps_shape, images_shape):
        (batch, *image, _), (_, *tile, channels) = images_shape, maps_shape
        sides = (None if side is None else -(-side * n // self.side) for side, n in zip(image, tile))
        return batch, *sides, channels
