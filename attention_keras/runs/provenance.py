"""Where numbers come from: the code's commit, the libraries, the machine."""

import contextlib
import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def library_versions() -> dict[str, str]:
    """Versions of Python and of the installed libraries that decide what a model computes."""
    found = {"python": platform.python_version()}
    for name in ("attention-keras", "keras", "tensorflow", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def commit() -> str | None:
    """The git commit of this code, with a `+` where files differ from it; None outside a checkout."""

    def git(*words: str) -> str:
        here = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # else the checkout is another's
        return git("describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+")
    except (OSError, subprocess.CalledProcessError):
        return None


def hardware() -> str:
    """Processor and cores this process may use, and the GPUs TensorFlow sees."""
    import tensorflow as tf

    linux = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*: (.+)$", linux.read_text() if linux.is_file() else "", re.M)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    gpus = [gpu.get("device_name", "GPU") for gpu in details]
    return ", ".join([named[1] if named else platform.machine(), f"{cores} cores", *gpus])
