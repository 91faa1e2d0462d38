"""Early stopping, by the run's history alone, so that a resumed run ends where it would have."""

import keras

from attention_keras.training.history import History


class Patience(keras.callbacks.Callback):
    """Ends training after some epochs without a better validation accuracy.

    Args:
        history: of the run.
        patience: that many epochs; 0 never ends.
        first: epochs before the first that counts. Those of a frozen backbone cost next to nothing, and what
            follows them may be better.
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
