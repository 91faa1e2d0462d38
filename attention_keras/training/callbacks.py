"""What happens after steps and epochs: stop what goes wrong, end early, keep the best, use the average."""

import math
from collections.abc import Callable

import keras
import numpy as np

from attention_keras.errors import UserError
from attention_keras.training.history import History


class NonFiniteGuard(keras.callbacks.Callback):
    """Stops training at the first loss that is not finite; the last checkpoint is from before it.

    The loss of a step is computed before its update. What the last update of an epoch has done shows in the
    validation.
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
        f"{what} at step {step}; a lower learning_rate usually helps (the last checkpoint is from before, "
        "`restart` begins anew)"
    )


class Patience(keras.callbacks.Callback):
    """Ends training after `patience` epochs without a better validation accuracy; 0 never ends.

    It asks the run's history alone, so that a resumed run ends where it would have. The `first` epochs do not
    count: those of a frozen backbone cost next to nothing, and what follows them may be better.
    """

    def __init__(self, history: History, patience: int, first: int):
        super().__init__()
        self.history, self.patience, self.first = history, patience, first

    @property
    def is_over(self) -> bool:
        """Whether training ends here."""
        if not self.patience or not self.history.records:
            return False
        return self.history.records[-1]["epoch"] - max(self.history.best_epoch, self.first) >= self.patience

    def on_epoch_end(self, epoch, logs=None):
        if self.is_over:
            self.model.stop_training = True


class KeepBest(keras.callbacks.Callback):
    """Saves the model after each epoch whose validation accuracy is the highest of the run so far."""

    def __init__(self, history: History, save: Callable[[], None]):
        super().__init__()
        self.history, self.save = history, save
        self.best = history.best_validation_accuracy

    def on_epoch_end(self, epoch, logs=None):
        if self.history.best_validation_accuracy > self.best:
            self.best = self.history.best_validation_accuracy
            self.save()


class AverageInPlace(keras.callbacks.Callback):
    """Puts the average into the network for validation and for all that is written after an epoch.

    Its place is behind what writes and before the checkpoint, which holds the weights that training goes on
    with. After the last epoch of a stage, the `last` counted from 1, these are the average: it is what the
    stage leaves to the next, to the test and to the files. Keras's SwapEMAWeights swaps by adding and
    subtracting, which moves the last bits of the weights.
    """

    def __init__(self, last: int):
        super().__init__()
        self.last, self.is_last = last, False

    def on_test_begin(self, logs=None):
        variables = self.model.trainable_variables
        self.trained = [keras.ops.convert_to_numpy(variable) for variable in variables]
        self.model.optimizer.finalize_variable_values(variables)

    def on_epoch_end(self, epoch, logs=None):
        self.is_last = epoch + 1 == self.last
        self._take_out()

    def on_train_end(self, logs=None):
        # At the end of each `fit` Keras puts the average in, also where another `fit` goes on with the stage.
        self._take_out()

    def _take_out(self):
        if not self.is_last:
            for variable, trained in zip(self.model.trainable_variables, self.trained, strict=True):
                variable.assign(trained)
