"""Stops a run that has gone wrong."""

import math

import keras
import numpy as np

from attention_keras.errors import UserError
from attention_keras.training.history import History


class NonFiniteGuard(keras.callbacks.Callback):
    """Stops training at the first loss that is not finite; the last checkpoint is from before it.

    Args:
        history: of the run.

    Raises:
        UserError: naming the step.
    """

    def __init__(self, history: History):
        super().__init__()
        self.history = history

    def on_train_batch_end(self, batch, logs=None):
        loss = float(np.squeeze(logs["loss"]))
        if not math.isfinite(loss):
            raise UserError(
                f"the loss is {loss} at step {self.history.step}; a lower --learning-rate usually helps (the "
                "last checkpoint is from before, --restart begins anew)"
            )
