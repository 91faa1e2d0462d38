"""Layers that normalise features by statistics of many images."""

import threading
from typing import Any

import keras
from keras import ops

EPSILON = 1e-2  # of the mean variance: a channel that is the same in all images must not explode


def variance_of(mean, square, np=ops):
    """The variance `(c,)` that a map is divided by the root of: a small share of the mean one is added. 1 for
    one image."""
    variance = np.maximum(square - np.square(mean), 0)
    typical = np.mean(variance)
    return np.where(typical > 0, variance + EPSILON * typical, 1.0)


@keras.saving.register_keras_serializable(package="attention_keras")
class Standardize(keras.layers.Layer):
    """A feature map `(b, h, w, c)` less the mean, over the deviation, of its *average* over all images.

    `x = (l - mean) / deviation`, one number of each for a channel. The average of such a map has mean 0 and
    variance 1, as a linear probe wants it. `adapt` computes the two from maps. Without it they are learned in
    `fit`: the exact statistics of all images seen so far. Float32 under every dtype policy.

    Example:
        >>> import numpy as np
        >>> maps = np.random.default_rng(0).normal(5, 3, (100, 2, 2, 3)).astype("float32")
        >>> layer = Standardize()
        >>> layer.adapt(maps)
        >>> average = ops.convert_to_numpy(layer(maps)).mean((1, 2))
        >>> bool(np.allclose(average.mean(0), 0, atol=1e-5)), bool(np.allclose(average.std(0), 1, atol=0.02))
        (True, True)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs | {"dtype": "float32"})

    def build(self, features_shape):
        # Mean and mean square, not the variance: replicas average their variables, and of these the
        # average is exact.
        options = {"trainable": False, "aggregation": "mean"}
        self.mean = self.add_weight((features_shape[-1],), "zeros", name="mean", **options)
        self.square = self.add_weight((features_shape[-1],), "ones", name="square", **options)
        self.count = self.add_weight((), "zeros", name="count", **options)

    def adapt(self, features) -> None:
        """Take mean and deviation from these maps `(n, h, w, c)`, whatever was seen before."""
        if not self.built:
            self.build(features.shape)
        self.set_statistics(*_statistics(ops.cast(features, "float32")))

    def set_statistics(self, mean, square, count) -> None:
        """Mean and mean square `(c,)` of the average over `count` images."""
        for variable, value in ((self.mean, mean), (self.square, square), (self.count, count)):
            variable.assign(ops.cast(value, "float32"))

    def affine(self):
        """`(scale, shift)`, each `(c,)`: the layer computes `scale * l + shift`."""
        scale = ops.rsqrt(variance_of(self.mean, self.square))
        return scale, -scale * self.mean

    def call(self, features, training=False):
        features = ops.cast(features, "float32")
        if training and self.trainable:
            mean, square, seen = map(ops.stop_gradient, _statistics(features))
            share = seen / (self.count + seen)
            self.mean.assign(self.mean + share * (mean - self.mean))
            self.square.assign(self.square + share * (square - self.square))
            self.count.assign(self.count + seen)
        scale, shift = self.affine()
        return features * scale + shift


def _statistics(features):
    """Mean and mean square of the average, and the number of images."""
    average = ops.mean(features, axis=(1, 2))
    count = ops.cast(ops.shape(average)[0], "float32")
    return ops.mean(average, axis=0), ops.mean(ops.square(average), axis=0), count


@keras.saving.register_keras_serializable(package="attention_keras")
class WarmBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` with a momentum that grows from 0 to its value.

    Keras's moving variance starts at 1, of which a third is left after ten updates. Here the momentum of
    update t is at most 1 - 1/t: the mean over all batches until there are enough for a moving one.
    """

    _now = threading.local()  # the momentum of the update at hand: replicas take turns within a call

    def build(self, input_shape):
        super().build(input_shape)
        options = {"trainable": False, "aggregation": "only_first_replica", "autocast": False}
        self.updates = self.add_weight((), "zeros", name="updates", **options)

    def call(self, inputs, training=None, mask=None):
        if training and self.trainable:
            self.updates.assign_add(1.0)
            self._now.momentum = ops.minimum(self._momentum, 1 - 1 / self.updates)
        try:
            return super().call(inputs, training=training, mask=mask)
        finally:
            self._now.momentum = None

    @property
    def momentum(self) -> Any:
        """Of the update at hand in this thread; else the one that it grows to."""
        now = getattr(self._now, "momentum", None)
        return self._momentum if now is None else now

    @momentum.setter
    def momentum(self, value: float) -> None:
        self._momentum = value


@keras.saving.register_keras_serializable(package="attention_keras")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` under the name that version 0.1 saved it by."""
