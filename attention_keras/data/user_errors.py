"""A mistake that is found inside tf.data comes out as the one line it is."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from attention_keras.errors import UserError


@contextmanager
def user_errors() -> Iterator[None]:
    """Raise the `UserError` of a Python function that tf.data called, such as a picture that has vanished.

    TensorFlow hands on the text of an exception alone, wrapped in an error of its own with both tracebacks.

    Example:
        >>> def read(row):
        ...     raise UserError("cat.jpg is gone")
        >>> rows = tf.data.Dataset.range(1).map(lambda row: tf.numpy_function(read, [row], tf.int64))
        >>> with user_errors():
        ...     list(rows)
        Traceback (most recent call last):
        attention_keras.errors.UserError: cat.jpg is gone
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        said = re.search(r"\bUserError: (.+)", error.message)
        if said is None:
            raise
        raise UserError(said[1]) from None
