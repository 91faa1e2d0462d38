"""Measures that take turns, and what this machine reaches on a bare convolution, for utilisation."""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import keras
from keras import ops

Contestant = TypeVar("Contestant")
CONVOLUTION = (32, 32, 32, 256)  # b h w c: the widest layers of the attention trunk's first stage


def in_turns(contestants: list[Contestant], rounds: int) -> Iterator[Contestant]:
    """Each contestant once a round, first equally often, so that a busy machine slows all alike.

    Example:
        >>> "".join(in_turns(["a", "b", "c"], rounds=2))
        'abcbca'
    """
    for turn in range(rounds):
        first = turn % len(contestants)
        yield from contestants[first:] + contestants[:first]


def medians(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each call, measured in turns, after two to warm up."""
    for call in calls.values():
        call()
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for name in in_turns(list(calls), rounds):
        began = time.perf_counter()
        calls[name]()
        seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def convolution(dtype: str, shape: tuple[int, int, int, int] = CONVOLUTION, repeats: int = 5) -> float:
    """FLOP/s of a 3x3 convolution that keeps the number of channels, forward; the fastest call counts."""
    channels = shape[-1]
    images = ops.cast(keras.random.normal(shape), dtype)
    kernel = ops.cast(keras.random.normal((3, 3, channels, channels)), dtype)

    def convolve(x, k):  # to one number, so that the copy to the host takes no time
        return ops.sum(ops.cast(ops.conv(x, k, padding="same"), "float32"))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        convolve = tf.function(convolve, autograph=False)
    elif keras.backend.backend() == "jax":
        import jax

        convolve = jax.jit(convolve)
    durations = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        ops.convert_to_numpy(convolve(images, kernel))
        durations.append(time.perf_counter() - began)
    return 2 * 9 * channels * math.prod(shape) / min(durations[1:])
