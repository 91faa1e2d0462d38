"""Where a training runs: precision, XLA and batch normalisation of a device, and strategies for several.

With several workers Keras 3.15 has two bugs (issues 20585 and 20329), gone round in public ways: `fit` fails
where it builds the model symbolically, which a model constructed outside the scope skips, and where it
averages the logs of workers over axis 0, which logs of shape (1,) pass.
"""

import contextlib
import functools
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import keras
import tensorflow as tf

from attention_keras.errors import UserError
from attention_keras.models.classifier import Classifier
from attention_keras.models.graph import all_layers

Strategy = tf.distribute.Strategy
PROCESSOR = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
FIRST_GPU_WITH_BFLOAT16 = (8, 0)
# XLA of TensorFlow 2.21 ends the process there: its PTX 8.5 knows no such GPU (tensorflow issue 111958).
FIRST_GPU_WITHOUT_XLA = (12, 0)
FUSED_TYPES = ("float32", "bfloat16", "float16")  # inputs for which TensorFlow has that, of float32 variables


def choose_precision() -> str:
    """mixed_bfloat16 where the device has arithmetic for it; elsewhere emulation is slower than float32."""
    if capabilities := _capabilities():
        capable = min(capabilities) >= FIRST_GPU_WITH_BFLOAT16
    else:  # `flags` on x86, `Features` on ARM, of Linux
        about = PROCESSOR.read_text(encoding="utf-8") if PROCESSOR.is_file() else ""
        flags = re.findall(r"^(?:flags|Features)\s*:(.*)$", about, re.MULTILINE)
        capable = bool(BFLOAT16_FLAGS & {*" ".join(flags).split()})
    return "mixed_bfloat16" if capable else "float32"


def jit_compile() -> bool | Literal["auto"]:
    """What Keras's `compile` takes: `auto`, which is XLA on a single GPU, or False where XLA aborts."""
    return False if max(_capabilities(), default=(0, 0)) >= FIRST_GPU_WITHOUT_XLA else "auto"


def _capabilities() -> list[tuple[int, int]]:
    """Of each GPU; (0, 0) for one that does not tell."""
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return [about.get("compute_capability", (0, 0)) for about in details]


@contextlib.contextmanager
def fused_batch_norm(model: keras.Model) -> Iterator[None]:
    """Inside, batch normalisation takes one operation of TensorFlow and not three passes over the map.

    The results are the same, up to 1.2 times as fast on CPUs (docs/performance.md).
    """
    layers = [layer for layer in all_layers(model) if type(layer) is keras.layers.BatchNormalization]
    if model.jit_compile and tf.config.list_physical_devices("GPU"):
        layers = []  # XLA fuses the passes
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
    none, of_batch = tf.zeros(0), {"epsilon": layer.epsilon, "is_training": True}
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs, scale=layer.gamma, offset=layer.beta, mean=none, variance=none, **of_batch
    )
    # The operation hands out the unbiased variance, with n - 1 below; Keras keeps the one with n.
    count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), "float32")
    variance *= (count - 1) / count
    for moving, batch in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + batch * (1.0 - layer.momentum))
    return keras.ops.cast(outputs, layer.compute_dtype)


def synchronize_batch_norm(model: keras.Model, synchronized: bool) -> None:
    """Make every batch normalisation use the statistics of the global batch, as one device does, or not."""
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = synchronized


def build_strategy(name: str, report: Callable[[str], None] = print) -> Strategy | None:
    """None for one device. `multi_worker` must come before any other TensorFlow operation."""
    if name == "multi_worker":
        if others := _other_workers():
            report(f"waiting for {', '.join(others)} (TF_CONFIG); Ctrl-C ends it")
        with _waiting():
            try:
                return tf.distribute.MultiWorkerMirroredStrategy()
            except tf.errors.OpError as error:
                reason = error.message.partition("\n")[0]
                raise UserError(f"the workers of TF_CONFIG did not find each other: {reason}") from None
    gpus = tf.config.list_logical_devices("GPU")
    if name == "none" or (name == "auto" and len(gpus) < 2):
        return None
    devices = gpus or tf.config.list_logical_devices("CPU")
    return _mirrored(tuple(device.name for device in devices))


@contextlib.contextmanager
def _waiting():
    """Inside, no line of Python runs: Ctrl-C ends the process. TensorFlow's SIGTERM handler is taken out."""
    interrupt, terminate = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    if interrupt is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, interrupt or signal.SIG_DFL)
        signal.signal(signal.SIGTERM, terminate or signal.SIG_DFL)


def _other_workers() -> list[str]:
    """The addresses of all others in TF_CONFIG, which must name every worker and say which one this is."""
    text = os.environ.get("TF_CONFIG", "")
    with contextlib.suppress(ValueError, KeyError, IndexError, TypeError):
        config = json.loads(text)
        cluster, kind, index = config["cluster"], config["task"]["type"], int(config["task"]["index"])
        if index >= 0 and isinstance(address := cluster[kind][index], str):
            return [other for group in cluster.values() for other in group if other != address]
    raise UserError(
        "strategy multi_worker needs the environment variable TF_CONFIG, which lists the workers and says "
        'which one this is, as {"cluster": {"worker": ["host1:1234", "host2:1234"]}, "task": '
        f'{{"type": "worker", "index": 0}}}}; got {text[:200] or "nothing"}'
    )


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> Strategy:
    """One for each set of devices in a process: collectives of a second one would have the same keys."""
    return tf.distribute.MirroredStrategy(list(devices))


def scope(strategy: Strategy | None):
    return strategy.scope() if strategy else contextlib.nullcontext()


def spans_workers(strategy: Strategy | None) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_chief(strategy: Strategy | None) -> bool:
    """True for the one process that writes files and talks to the person."""
    return strategy is None or strategy.extended.should_checkpoint


def wait_for_workers(strategy: Strategy | None) -> None:
    """Return when every worker has come here; call it in the strategy's scope."""

    def count():
        return tf.distribute.get_replica_context().all_reduce("SUM", tf.ones(()))

    if spans_workers(strategy):
        meet = tf.function(lambda: strategy.experimental_local_results(strategy.run(count)), autograph=False)
        with _waiting():
            keras.ops.convert_to_numpy(meet()[0])


def hooks_of(strategy: Strategy | None) -> dict[str, Any]:
    """What `TrainingHooks` needs under a strategy; with several workers logs of shape (1,), to average."""
    hooks: dict[str, Any] = {"replica_loss": _replica_loss} if strategy else {}
    if spans_workers(strategy):
        hooks["logs"] = functools.partial(keras.tree.map_structure, lambda log: keras.ops.reshape(log, (1,)))
    return hooks


def _replica_loss(loss, images):
    """The value that Keras expects, with the gradient of the global batch, which Keras weights wrongly."""
    replica = tf.distribute.get_replica_context()
    if replica is None:
        return loss
    images = tf.cast(images, loss.dtype)
    share = images * replica.num_replicas_in_sync / replica.all_reduce(tf.distribute.ReduceOp.SUM, images)
    return loss + (share - 1.0) * (loss - tf.stop_gradient(loss))


def replicated(model: Classifier, strategy: Strategy | None) -> Classifier:
    """The classifier, of the same layers, as `fit` can train it; call it outside the strategy's scope."""
    return model if strategy is None else model.like(model.input, model.output)
