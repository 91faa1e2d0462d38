"""tf.distribute strategies, and batch normalisation across their replicas."""

import contextlib

import keras
import tensorflow as tf


def build_strategy(name: str) -> tf.distribute.Strategy | None:
    """The strategy of a `--strategy` name; None trains on one device without a strategy.

    `auto` mirrors over the GPUs when there are several. `mirrored` takes every GPU, or every
    logical CPU device when there is no GPU.
    """
    gpus = tf.config.list_logical_devices("GPU")
    if name == "none" or (name == "auto" and len(gpus) < 2):
        return None
    devices = gpus or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def scope(strategy: tf.distribute.Strategy | None):
    """The strategy's scope, or a context that does nothing."""
    return strategy.scope() if strategy else contextlib.nullcontext()


def synchronize_batch_norm(model: keras.Model, synchronized: bool) -> None:
    """Make every batch normalisation use the statistics of the global batch (or of its replica alone).

    Without this, replicas normalise by their own part of the batch, and N devices no longer
    compute what one device does.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = synchronized
