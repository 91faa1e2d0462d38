"""What libraries would write to the terminal, kept from it: of pictures, and of TensorFlow's first import."""

import os
import sys
import warnings

from attention_keras.errors import UserError
from attention_keras.serving.quiet import start_tensorflow

BACKEND = "KERAS_BACKEND"


def quiet_pictures() -> None:
    """No remarks of Pillow and Matplotlib on what is odd about a picture or a letter.

    A picture that cannot be read is told by its name; these remarks name none. For the whole process, since
    pictures are read by threads, and `warnings.catch_warnings` of one thread undoes that of another. A user
    who has asked Python for warnings gets them.
    """
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")


def refuse_other_backends(command: str) -> None:
    """Raise UserError where Keras is to run on another backend than the commands do."""
    backend = os.environ.get(BACKEND) or "tensorflow"
    if backend != "tensorflow":
        raise UserError(f"{command} runs on TensorFlow, and {BACKEND} is {backend}; unset that variable")


def import_tensorflow(command: str = "this command") -> None:
    """Import TensorFlow and look for its devices, silently unless that fails.

    Args:
        command: what needs it, for the message.

    Raises:
        UserError: Keras is to run on another backend.
    """
    refuse_other_backends(command)
    start_tensorflow()
