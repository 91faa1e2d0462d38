"""Where numbers come from: the code's commit, the libraries, the machine."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LINUX_PROCESSOR = Path("/proc/cpuinfo")
LIBRARIES = ("attention-keras", "keras", "tensorflow", "numpy")


def library_versions() -> dict[str, str]:
    """Versions of Python and of the installed libraries that decide what a model computes."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The git commit of this code, with a `+` where files differ from it; None outside a checkout."""
    here = str(Path(__file__).parent)
    try:
        _git(here, "ls-files", "--error-unmatch", Path(__file__).name)  # else the checkout is another's
        head = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no", ".")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + "+" * bool(changed)


def _git(folder: str, *words: str) -> str:
    done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def hardware() -> str:
    """Processor and cores this process may use, and the GPUs TensorFlow sees."""
    import tensorflow as tf

    processor = platform.machine()
    if LINUX_PROCESSOR.is_file():
        lines = LINUX_PROCESSOR.read_text(encoding="utf-8").splitlines()
        processor = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), processor)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    gpus = [about.get("device_name", "GPU") for about in details]
    return ", ".join([f"{processor}, {cores} cores", *gpus])
