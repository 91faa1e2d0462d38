"""Batch norms: one whose moving statistics are right after the first updates, and one of older files."""

import threading
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="attention_keras")
class WarmBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` with a momentum that grows from 0 to its value.

    Keras starts its moving variance at 1 and forgets that slowly: after ten updates with momentum 0.9 a third
    of it is still there. Here the momentum of update t is at most 1 - 1/t, so that the statistics are the
    mean over all batches until there are enough for a moving one.
    """

    _now = threading.local()  # the momentum of the update at hand: replicas take turns within a call

    def build(self, input_shape):
        super().build(input_shape)
        once = {"aggregation": "only_first_replica", "autocast": False}  # of several devices
        self.updates = self.add_weight(shape=(), initializer="zeros", trainable=False, name="updates", **once)

    def call(self, inputs, training=None, mask=None):
        if not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
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
