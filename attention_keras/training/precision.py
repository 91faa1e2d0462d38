"""Which floating-point policy pays on the device at hand."""

from pathlib import Path

import tensorflow as tf

PROCESSOR = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
FIRST_GPU_WITH_BFLOAT16 = (8, 0)


def choose_precision(name: str) -> str:
    """`name`, or for `auto` mixed_bfloat16 where the device has arithmetic for it, else float32.

    The same device gives the same answer every time. Processors without such instructions emulate
    bfloat16, which is slower than float32.
    """
    if name != "auto":
        return name
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        capable = all(d.get("compute_capability", (0, 0)) >= FIRST_GPU_WITH_BFLOAT16 for d in details)
    else:
        capable = bool(BFLOAT16_FLAGS & _processor_flags())
    return "mixed_bfloat16" if capable else "float32"


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
