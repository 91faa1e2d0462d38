"""The model of the best validation epoch."""

from collections.abc import Callable

import keras

from attention_keras.training.history import History


class KeepBest(keras.callbacks.Callback):
    """Saves the model after each epoch whose validation accuracy is the highest so far.

    Args:
        history: of the run; a resumed one knows the best so far.
        save: writes the model.
    """

    def __init__(self, history: History, save: Callable[[], None]):
        super().__init__()
        self.history = history
        self.save = save
        self.best = history.best_validation_accuracy

    def on_epoch_end(self, epoch, logs=None):
        if self.history.best_validation_accuracy > self.best:
            self.best = self.history.best_validation_accuracy
            self.save()
