"""tf.distribute strategies, and the public way round Keras 3.15's bugs with several workers.

`fit` fails where it builds the model symbolically (it reduces a tuple of per-replica batches, or batches of
different sizes), which a model constructed outside the scope skips, and where it averages the logs of workers
(it reduces scalars over axis 0), which logs of shape (1,) pass. See keras issues 20585 and 20329.
"""

import contextlib
import functools
import json
import os
import signal
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from attention_keras.errors import UserError
from attention_keras.models.classifier import Classifier
from attention_keras.models.graph import all_layers

Strategy = tf.distribute.Strategy


def build_strategy(name: str, report: Callable[[str], None] = print) -> Strategy | None:
    """The strategy of a name; None trains on one device without a strategy.

    `auto` mirrors over the GPUs when there are several; `mirrored` takes the logical CPU devices where there
    is no GPU. `multi_worker` needs TF_CONFIG and must come before any other TensorFlow operation.
    """
    if name == "multi_worker":
        others = _other_workers(os.environ.get("TF_CONFIG"))
        if others:
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


def _other_workers(text: str | None) -> list[str]:
    """The addresses of all others in TF_CONFIG, which must name every worker and say which one this is."""
    if not text:
        raise UserError(
            "strategy multi_worker needs the environment variable TF_CONFIG, which names every worker; "
            "examples/distributed shows one"
        )
    with contextlib.suppress(ValueError, KeyError, IndexError, TypeError):
        config = json.loads(text)
        cluster, kind, index = config["cluster"], config["task"]["type"], int(config["task"]["index"])
        if index >= 0 and isinstance(address := cluster[kind][index], str):
            return [other for group in cluster.values() for other in group if other != address]
    raise UserError(
        "TF_CONFIG must list the workers and say which one this is, as "
        '{"cluster": {"worker": ["host1:1234", "host2:1234"]}, "task": {"type": "worker", "index": 0}}; '
        f"got {text[:200]}"
    )


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> Strategy:
    """One for each set of devices in a process: collectives of a second one would have the same keys."""
    return tf.distribute.MirroredStrategy(list(devices))


def scope(strategy: Strategy | None):
    """The strategy's scope, or a context that does nothing."""
    return strategy.scope() if strategy else contextlib.nullcontext()


def spans_workers(strategy: Strategy | None) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_chief(strategy: Strategy | None) -> bool:
    """True for the one process that writes files and talks to the person."""
    if not spans_workers(strategy):
        return True
    resolver = strategy.cluster_resolver
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_id == 0


def wait_for_workers(strategy: Strategy | None) -> None:
    """Return when every worker has come here; call it in the strategy's scope."""

    def count():
        return tf.distribute.get_replica_context().all_reduce("SUM", tf.ones(()))

    @tf.function(autograph=False)
    def meet():
        return strategy.experimental_local_results(strategy.run(count))

    if spans_workers(strategy):
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


def synchronize_batch_norm(model: keras.Model, synchronized: bool) -> None:
    """Make every batch normalisation use the statistics of the global batch, as one device does, or not."""
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = synchronized
