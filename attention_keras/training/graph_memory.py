"""Giving back the graphs of a finished training."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def forgetting_gradients() -> Iterator[None]:
    """On leaving, forget the gradient functions that graphs built inside have registered.

    TensorFlow keeps the gradient of every operation made with `tf.custom_gradient` for the life of the
    process, and with it the whole graph that the operation is in. The all-reduce in Keras's optimisers is
    such an operation, so each training would leave its graph behind (see keras issue 20552). There is no
    public way to take a gradient out of TensorFlow's registry; where the private one is gone, nothing is
    done.
    """
    registry = _registry()
    before = set(registry)
    try:
        yield
    finally:
        for name in set(registry) - before:
            if name.startswith("CustomGradient-"):
                del registry[name]


def _registry() -> dict:
    try:
        from tensorflow.python.framework import ops

        return ops.gradient_registry._registry
    except (ImportError, AttributeError):
        return {}
