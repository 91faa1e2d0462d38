"""One writer for a folder at a time."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from attention_keras.errors import UserError
from attention_keras.runs.file_names import LOCK

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a folder alone, and make it where it is not there. A dead process holds nothing.

    Windows has no such locks in Python: there nothing stops a second writer.

    Raises:
        UserError: another process holds it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; choose another --run-dir") from None
    with lock:
        _hold(lock, folder)
        yield


def _hold(lock: IO[str], folder: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{folder} is being trained by another process; give a new --name") from None
    except OSError as error:
        raise UserError(
            f"cannot lock {folder}: {error.strerror}; choose a --run-dir on another file system"
        ) from None
