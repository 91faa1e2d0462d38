"""What libraries would write to the terminal, kept from it: of images, and of TensorFlow's first import."""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

from attention_keras.errors import UserError

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def quiet_pictures() -> None:
    """No remarks of Pillow and Matplotlib on what is odd about an image or a letter, which name no file.

    For the whole process, since images are read by threads, and `warnings.catch_warnings` of one thread
    undoes that of another. A user who has asked Python for warnings gets them.
    """
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")


def import_tensorflow(command: str = "this command") -> None:
    """Import TensorFlow and look for its devices, silently unless that fails; refuse another backend.

    TensorFlow 2.21 prints lines about oneDNN and missing GPU drivers before it reads
    `TF_CPP_MIN_LOG_LEVEL`. A user who has set that variable wants to see them.
    """
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend != "tensorflow":
        raise UserError(f"{command} runs on TensorFlow, and KERAS_BACKEND is {backend}; unset that variable")
    if LOG_LEVEL in os.environ or "tensorflow" in sys.modules:
        return
    os.environ[LOG_LEVEL] = "2"
    with held_back_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def held_back_stderr() -> Iterator[None]:
    """What native libraries write to standard error inside comes out after an error only; Ctrl-C is none."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except Exception:
            held_back.seek(0)
            os.write(stderr, held_back.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
