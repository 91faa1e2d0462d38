"""tf.distribute strategies, and the public-API way round Keras 3's bugs with several workers.

Keras 3.15 `fit` fails under MultiWorkerMirroredStrategy in two places: building the model
symbolically (reduces a tuple of per-replica batches) and averaging the logs (reduces scalars over
axis 0). A model constructed outside the scope skips the first; logs of shape (1,) pass the second.
"""

import contextlib
import os

import keras
import tensorflow as tf

from attention_keras.errors import UserError

Strategy = tf.distribute.Strategy


def build_strategy(name: str) -> Strategy | None:
    """The strategy of a `--strategy` name; None trains on one device without a strategy.

    `auto` mirrors over the GPUs when there are several. `mirrored` takes every GPU, or every
    logical CPU device when there is no GPU. `multi_worker` needs TF_CONFIG and must come before any
    other TensorFlow operation. `tpu` is untested.

    Raises:
        UserError: `multi_worker` without TF_CONFIG; `tpu` where there is none.
    """
    if name == "multi_worker":
        if not os.environ.get("TF_CONFIG"):
            raise UserError(
                "strategy multi_worker needs the environment variable TF_CONFIG, which names every worker; "
                "examples/distributed shows one"
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "tpu":
        return _tpu_strategy()
    gpus = tf.config.list_logical_devices("GPU")
    if name == "none" or (name == "auto" and len(gpus) < 2):
        return None
    devices = gpus or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _tpu_strategy() -> Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="")
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError, KeyError) as error:
        raise UserError(f"strategy tpu found no TPU ({error}); use auto") from None
    return tf.distribute.TPUStrategy(resolver)


def scope(strategy: Strategy | None):
    """The strategy's scope, or a context that does nothing."""
    return strategy.scope() if strategy else contextlib.nullcontext()


def spans_workers(strategy: Strategy | None) -> bool:
    """True when several processes train one model."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_chief(strategy: Strategy | None) -> bool:
    """True for the one process that writes files and talks to the person."""
    if not spans_workers(strategy):
        return True
    resolver = strategy.cluster_resolver
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_id == 0


class WorkerModel(keras.Model):
    """A functional model whose logs have shape (1,), as averaging over workers needs."""

    def train_step(self, data):
        return _with_axis(super().train_step(data))

    def test_step(self, data):
        return _with_axis(super().test_step(data))


def _with_axis(logs: dict) -> dict:
    return {name: keras.ops.reshape(value, (1,)) for name, value in logs.items()}


def synchronize_batch_norm(model: keras.Model, synchronized: bool) -> None:
    """Make every batch normalisation use the statistics of the global batch (or of its replica alone).

    Without this, replicas normalise by their own part of the batch, and N devices no longer
    compute what one device does.
    """
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            synchronize_batch_norm(layer, synchronized)
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = synchronized
