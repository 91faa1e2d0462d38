"""The model of the best validation epoch."""

from pathlib import Path

import keras

from attention_keras.runs.model_file import save_model


class KeepBest(keras.callbacks.Callback):
    """Saves the model after each epoch whose validation accuracy is the highest so far.

    Args:
        model_to_save: the model with all its outputs (training uses a view with fewer).
        path: the `.keras` file.
        history: records of finished epochs, so that a resumed run knows the best so far.
    """

    def __init__(self, model_to_save: keras.Model, path: Path, history: list[dict]):
        super().__init__()
        self.model_to_save = model_to_save
        self.path = path
        self.best = max((epoch["val_accuracy"] for epoch in history), default=-1.0)

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_accuracy"] > self.best:
            self.best = logs["val_accuracy"]
            save_model(self.model_to_save, self.path)
