"""Stops a run that has gone wrong."""

import math

import keras
import numpy as np

from attention_keras.errors import UserError
from attention_keras.training.history import History


class NonFiniteGuard(keras.callbacks.Callback):
    """Stops training at the first loss that is not finite; the last checkpoint is from before it.

    The loss of a step is computed before its update. What the last update of an epoch has done shows in the
    validation.

    Args:
        history: of the run.

    Raises:
        UserError: naming the step.
    """

    def __init__(self, history: History):
        super().__init__()
        self.history = history

    def on_train_batch_end(self, batch, logs=None):
        self._check("loss", logs["loss"])

    def on_epoch_end(self, epoch, logs=None):
        self._check("validation loss", logs["val_loss"])

    def _check(self, name: str, value):
        loss = float(np.squeeze(value))
        if not math.isfinite(loss):
            raise not_finite(f"the {name} is {loss}", self.history.step)


def not_finite(what: str, step: int) -> UserError:
    """The line that ends such a run."""
    return UserError(
        f"{what} at step {step}; a lower --learning-rate usually helps (the last checkpoint is from before, "
        "--restart begins anew)"
    )
