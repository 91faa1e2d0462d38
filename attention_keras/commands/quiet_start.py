"""TensorFlow's first import, for the commands that run on it."""

import os
import sys

from attention_keras.errors import UserError
from attention_keras.serving.quiet import held_back_stderr

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
BACKEND = "KERAS_BACKEND"


def refuse_other_backends(command: str) -> None:
    """Raise UserError where Keras is to run on another backend than the commands do."""
    backend = os.environ.get(BACKEND) or "tensorflow"
    if backend != "tensorflow":
        raise UserError(f"{command} runs on TensorFlow, and {BACKEND} is {backend}; unset that variable")


def import_tensorflow(command: str = "this command") -> None:
    """Import TensorFlow and look for its devices, silently unless that fails.

    TensorFlow 2.21 prints lines about oneDNN and missing GPU drivers before it reads
    `TF_CPP_MIN_LOG_LEVEL`. A user who has set that variable wants to see them.

    Args:
        command: what needs it, for the message.

    Raises:
        UserError: Keras is to run on another backend.
    """
    refuse_other_backends(command)
    if LOG_LEVEL in os.environ or "tensorflow" in sys.modules:
        return
    os.environ[LOG_LEVEL] = "2"
    with held_back_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()
