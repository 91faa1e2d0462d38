"""What pays on the device at hand: the floating-point policy, and whether XLA compiles."""

from pathlib import Path
from typing import Literal

import tensorflow as tf

PROCESSOR = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
FIRST_GPU_WITH_BFLOAT16 = (8, 0)
FIRST_GPU_WITHOUT_XLA = (12, 0)
"""TensorFlow 2.21 ends the process there: its XLA writes PTX 8.5, which knows no such GPU (tensorflow issue
111958)."""


def choose_precision() -> str:
    """mixed_bfloat16 where the device has arithmetic for it, else float32.

    The same device gives the same answer every time. Processors without such instructions emulate
    bfloat16, which is slower than float32.
    """
    if capabilities := _capabilities():
        capable = min(capabilities) >= FIRST_GPU_WITH_BFLOAT16
    else:
        capable = bool(BFLOAT16_FLAGS & _processor_flags())
    return "mixed_bfloat16" if capable else "float32"


def jit_compile() -> bool | Literal["auto"]:
    """What Keras's `compile` takes: `auto`, which is XLA on a single GPU, or False where XLA aborts."""
    return False if max(_capabilities(), default=(0, 0)) >= FIRST_GPU_WITHOUT_XLA else "auto"


def _capabilities() -> list[tuple[int, int]]:
    """The compute capability of each GPU; (0, 0) for one that does not tell."""
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return [about.get("compute_capability", (0, 0)) for about in details]


def _processor_flags() -> set[str]:
    """What the processor can do, as Linux tells: `flags` on x86, `Features` on ARM; else nothing."""
    try:
        lines = PROCESSOR.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    listed = (line.partition(":") for line in lines)
    return next(
        (set(words.split()) for name, _, words in listed if name.strip() in ("flags", "Features")), set()
    )
