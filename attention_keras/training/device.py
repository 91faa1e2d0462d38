"""What pays on the device at hand: the floating-point policy, XLA, and fused batch normalisation."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import keras
import tensorflow as tf

from attention_keras.models.graph import all_layers

PROCESSOR = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
FIRST_GPU_WITH_BFLOAT16 = (8, 0)
FIRST_GPU_WITHOUT_XLA = (12, 0)
"""XLA of TensorFlow 2.21 ends the process there: its PTX 8.5 knows no such GPU (tensorflow issue 111958)."""
FUSED_TYPES = ("float32", "bfloat16", "float16")
"""Inputs for which TensorFlow has fused batch normalisation, with variables in float32."""


def choose_precision() -> str:
    """mixed_bfloat16 where the device has arithmetic for it; elsewhere emulation is slower than float32."""
    if capabilities := _capabilities():
        capable = min(capabilities) >= FIRST_GPU_WITH_BFLOAT16
    else:
        capable = bool(BFLOAT16_FLAGS & _processor_flags())
    return "mixed_bfloat16" if capable else "float32"


def jit_compile() -> bool | Literal["auto"]:
    """What Keras's `compile` takes: `auto`, which is XLA on a single GPU, or False where XLA aborts."""
    return False if max(_capabilities(), default=(0, 0)) >= FIRST_GPU_WITHOUT_XLA else "auto"


def _capabilities() -> list[tuple[int, int]]:
    """The compute capability of each GPU; (0, 0) for one that does not tell."""
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return [about.get("compute_capability", (0, 0)) for about in details]


def _processor_flags() -> set[str]:
    """What the processor can do, as Linux tells: `flags` on x86, `Features` on ARM; else nothing."""
    lines = PROCESSOR.read_text(encoding="utf-8").splitlines() if PROCESSOR.is_file() else []
    listed = {name.strip(): words.split() for name, _, words in (line.partition(":") for line in lines)}
    return {*listed.get("flags", ()), *listed.get("Features", ())}


@contextlib.contextmanager
def fused_batch_norm(model: keras.Model) -> Iterator[None]:
    """Inside, the model's `BatchNormalization` layers train faster without XLA, with the same results.

    Keras passes over the map for mean, variance and result, in float32; TensorFlow has one operation for all,
    up to 1.2 times as fast on CPUs (docs/performance.md). It stands in only where it computes the same, and
    not where XLA fuses the passes on a GPU. Files saved inside hold plain Keras layers.
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
    plain = layer.scale and layer.center and not layer.synchronized and not layer.renorm
    last_axis = len(inputs.shape) == 4 and layer.axis in (-1, 3)
    known = keras.backend.standardize_dtype(inputs.dtype) in FUSED_TYPES and layer.variable_dtype == "float32"
    if not (training and layer.trainable and mask is None and plain and last_axis and known):
        return keras_call(inputs, training=training, mask=mask)
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
