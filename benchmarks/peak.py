"""What this machine reaches on bare matrix products and convolutions: the yardstick for utilisation."""

import math
import time
from collections.abc import Callable

import keras
from keras import ops

SIDE = 2048
CONVOLUTION = (32, 32, 32, 256)  # b h w c: the widest layers of the attention trunk's first stage


def compiled(function: Callable) -> Callable:
    """`function` of tensors as one graph of the backend at hand."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, autograph=False)
    if backend == "jax":
        import jax

        return jax.jit(function)
    return function


def seconds_of(call: Callable[[], object], repeats: int) -> float:
    """Best of `repeats` timed calls, after one to warm up; a call ends when its result is there."""
    durations = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        ops.convert_to_numpy(call())
        durations.append(time.perf_counter() - began)
    return min(durations[1:])


def matrix_product(dtype: str, side: int = SIDE, repeats: int = 5) -> float:
    """FLOP/s of a product of two square matrices (a multiply-add is two operations)."""
    left = ops.cast(keras.random.normal((side, side)), dtype)
    # Handing back one number keeps the copy to the host out of the time.
    product = compiled(lambda a, b: ops.sum(ops.cast(ops.matmul(a, b), "float32")))
    return 2 * side**3 / seconds_of(lambda: product(left, left), repeats)


def convolution(
    dtype: str, shape: tuple[int, int, int, int] = CONVOLUTION, repeats: int = 5, depth: int = 1
) -> float:
    """FLOP/s of a 3x3 convolution that keeps the number of channels, forward only.

    Args:
        dtype: `float32` or `bfloat16`.
        shape: b h w c.
        repeats: calls, of which the fastest counts.
        depth: convolutions one after the other in a call; on a GPU one is over before its call is.
    """
    channels = shape[-1]
    images = ops.cast(keras.random.normal(shape), dtype)
    kernel = ops.cast(keras.random.normal((3, 3, channels, channels)), dtype)

    def chain(x, k):
        for _ in range(depth):
            x = ops.conv(x, k, padding="same")
        return ops.sum(ops.cast(x, "float32"))

    convolve = compiled(chain)
    flops = depth * 2 * 9 * channels * math.prod(shape)
    return flops / seconds_of(lambda: convolve(images, kernel), repeats)
