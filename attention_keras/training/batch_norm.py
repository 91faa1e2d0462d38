"""Batch normalisation in fewer passes over memory where TensorFlow trains without XLA."""

import contextlib
import functools
from collections.abc import Iterator

import keras
import tensorflow as tf

from attention_keras.models.graph import all_layers

FUSED_TYPES = ("float32", "bfloat16", "float16")
"""Inputs for which TensorFlow has the operation, with variables in float32."""


@contextlib.contextmanager
def fused_batch_norm(model: keras.Model) -> Iterator[None]:
    """Inside, the model's `BatchNormalization` layers train faster without XLA, with the same results.

    Keras takes mean, variance and result in a pass over the map each, in float32, and as many for the
    gradient. TensorFlow has one operation for all, and with it the networks of this package train up to 1.2
    times as fast on CPUs (docs/performance.md); on GPUs it is cuDNN's. It stands in only where it computes
    the same: in training, with channels last and the statistics of one device. Elsewhere, and where XLA
    compiles for a GPU and fuses the passes itself, Keras's own code runs. The layers stay what they are:
    files saved inside hold plain Keras layers.

    Example:
        >>> model = keras.Sequential([keras.Input((4, 4, 2)), keras.layers.BatchNormalization()])
        >>> with fused_batch_norm(model):
        ...     outputs = model(tf.ones((1, 4, 4, 2)), training=True)
        >>> outputs.shape
        TensorShape([1, 4, 4, 2])
    """
    layers = [layer for layer in all_layers(model) if type(layer) is keras.layers.BatchNormalization]
    if model.jit_compile and tf.config.list_physical_devices("GPU"):
        layers = []
    for layer in layers:
        layer.call = functools.partial(_call, layer, layer.call)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call  # the class's own is behind it


def _call(layer, keras_call, inputs, training=None, mask=None):
    if training and layer.trainable and mask is None and _is_fusible(layer, inputs):
        return _normalize(layer, inputs)
    return keras_call(inputs, training=training, mask=mask)


def _is_fusible(layer: keras.layers.BatchNormalization, inputs) -> bool:
    if layer.synchronized or layer.renorm:
        return False
    plain = layer.scale and layer.center and len(inputs.shape) == 4 and layer.axis in (-1, 3)
    known = keras.backend.standardize_dtype(inputs.dtype) in FUSED_TYPES
    return plain and known and layer.variable_dtype == "float32"


def _normalize(layer: keras.layers.BatchNormalization, inputs):
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=layer.gamma,
        offset=layer.beta,
        mean=tf.zeros(0),
        variance=tf.zeros(0),
        epsilon=layer.epsilon,
        is_training=True,
    )
    # The operation hands out the unbiased variance, with n - 1 below; Keras keeps the one with n.
    count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), "float32")
    variance *= (count - 1) / count
    for moving, batch in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + batch * (1.0 - layer.momentum))
    return keras.ops.cast(outputs, layer.compute_dtype)
