"""The graphs of a finished training are given back."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def forgotten_gradients() -> Iterator[None]:
    """On leaving, forget the gradients that the graphs built inside have registered.

    TensorFlow keeps each gradient of `tf.custom_gradient` as long as the process lives, and with it the whole
    graph that it stands in. The all-reduce of Keras's optimisers has one (keras issue 20552), so a process
    that trains again and again would grow by some 10 MB a training. TensorFlow has no public way to take a
    gradient back; if the private one is gone, nothing is done.
    """
    try:
        from tensorflow.python.framework import ops

        registry = ops.gradient_registry._registry
    except (ImportError, AttributeError):
        registry = {}
    before = set(registry)
    try:
        yield
    finally:
        for name in registry.keys() - before:
            if name.startswith("CustomGradient-"):
                del registry[name]
