"""Where XLA compiles a training: Keras's choice, but for GPUs on which TensorFlow's XLA aborts."""

from typing import Literal

import tensorflow as tf

FIRST_CAPABILITY_WITHOUT_XLA = (12, 0)
"""TensorFlow 2.21 ends the process there: its XLA writes PTX 8.5, which knows no such GPU (tensorflow issue
111958)."""


def jit_compile() -> bool | Literal["auto"]:
    """What Keras's `compile` takes: `auto`, which is XLA on a single GPU, or False."""
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    capabilities = [about.get("compute_capability", (0, 0)) for about in details]
    return False if any(it >= FIRST_CAPABILITY_WITHOUT_XLA for it in capabilities) else "auto"
