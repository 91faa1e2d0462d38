"""TensorFlow's first import, for the commands that run on it."""

import os
import sys
import tempfile

from attention_keras.errors import UserError

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
BACKEND = "KERAS_BACKEND"


def import_tensorflow(command: str = "this command") -> None:
    """Import TensorFlow and look for its devices, silently unless that fails.

    TensorFlow 2.21 prints lines about oneDNN and missing GPU drivers before it reads
    `TF_CPP_MIN_LOG_LEVEL`. A user who has set that variable wants to see them.

    Args:
        command: what needs it, for the message.

    Raises:
        UserError: Keras is to run on another backend.
    """
    backend = os.environ.get(BACKEND) or "tensorflow"
    if backend != "tensorflow":
        raise UserError(f"{command} runs on TensorFlow, and {BACKEND} is {backend}; unset that variable")
    if LOG_LEVEL in os.environ or "tensorflow" in sys.modules:
        return
    os.environ[LOG_LEVEL] = "2"
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        except BaseException:
            held_back.seek(0)
            os.write(stderr, held_back.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
