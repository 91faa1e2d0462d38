"""Which floating-point policy pays on the device at hand."""

import time

import tensorflow as tf

WORTH_IT = 1.3


def choose_precision(name: str) -> str:
    """`name`, or for `auto` the measured choice between float32 and mixed_bfloat16.

    Times a 3x3 convolution, forward and backward, in both types; bfloat16 must be 1.3 times as fast.
    Processors without bfloat16 instructions emulate it, and there it is slower.
    """
    if name != "auto":
        return name
    return "mixed_bfloat16" if _seconds(tf.float32) > WORTH_IT * _seconds(tf.bfloat16) else "float32"


def _seconds(dtype: tf.DType) -> float:
    """Best of five passes, in seconds."""
    images = tf.ones((16, 32, 32, 64), dtype)
    kernel = tf.ones((3, 3, 64, 64), dtype)

    @tf.function(autograph=False)
    def passes():
        with tf.GradientTape() as tape:
            tape.watch((images, kernel))
            out = tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "SAME"))
        return [tf.reduce_sum(tf.cast(g, tf.float32)) for g in tape.gradient(out, (images, kernel))]

    durations = []
    for _ in range(6):
        start = time.perf_counter()
        _ = [value.numpy() for value in passes()]
        durations.append(time.perf_counter() - start)
    return min(durations[1:])
