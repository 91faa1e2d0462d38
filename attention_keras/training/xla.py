"""Where XLA compiles a training: Keras's choice, but for GPUs on which TensorFlow's XLA aborts."""

from typing import Literal

import tensorflow as tf

FIRST_CAPABILITY_WITHOUT_XLA = (12, 0)
"""TensorFlow 2.21 ends the process there: its XLA writes PTX 8.5, which knows no such GPU (tensorflow issue
111958)."""


def jit_compile(jit: str) -> bool | Literal["auto"]:
    """What Keras's `compile` takes for a choice of `--jit`.

    Args:
        jit: `auto`, `on` or `off`. Keras's own `auto` is a single GPU, without a strategy and without op
            determinism. Where any GPU is one on which XLA aborts, `auto` is off: a mix of GPUs is rare, and
            an abort costs more than the speed.

    Example:
        >>> jit_compile("on"), jit_compile("off")
        (True, False)
    """
    if jit == "auto":
        return False if _gpus_without_xla() else "auto"
    return jit == "on"


def about_xla(jit: str) -> str | None:
    """A line for a person to read where XLA is left out or will abort; None where there is nothing to say.

    Args:
        jit: `auto`, `on` or `off`.

    Example:
        >>> about_xla("off")
    """
    gpus = _gpus_without_xla()
    if not gpus or jit == "off":
        return None
    what = f"TensorFlow 2.21 aborts in XLA on GPUs of compute capability 12 ({', '.join(gpus)})"
    if jit == "on":
        return f"WARNING   {what}; if this run ends so, give --jit off"
    return f"xla       off: {what}"


def _gpus_without_xla() -> list[str]:
    """The names of these GPUs; one that does not tell its capability is not among them."""
    details = [
        tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")
    ]
    return [
        about.get("device_name", "GPU")
        for about in details
        if about.get("compute_capability", (0, 0)) >= FIRST_CAPABILITY_WITHOUT_XLA
    ]
