"""Remarks of native libraries, which write to the terminal past Python."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def held_back_stderr(show_on: type[Exception] | tuple[()] = Exception) -> Iterator[None]:
    """What is written to the process's standard error inside is dropped, and comes out only after an error.

    Args:
        show_on: the errors after which it comes out; `()` for none. Ctrl-C is no error.

    Example:
        >>> with held_back_stderr():
        ...     _ = os.write(2, b"this is dropped")
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except show_on:
            held_back.seek(0)
            os.write(stderr, held_back.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


def start_tensorflow() -> None:
    """Import TensorFlow and look for its devices, silently unless that fails.

    TensorFlow 2.21 prints lines about oneDNN and missing GPU drivers before it reads
    `TF_CPP_MIN_LOG_LEVEL`. A user who has set that variable wants to see them.
    """
    if LOG_LEVEL in os.environ or "tensorflow" in sys.modules:
        return
    os.environ[LOG_LEVEL] = "2"
    with held_back_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()
