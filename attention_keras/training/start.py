"""A run that starts from the weights of another."""

from collections.abc import Sequence
from pathlib import Path

import keras

from attention_keras.models.transfer_weights import transfer_weights
from attention_keras.runs.directory import Run
from attention_keras.runs.model_file import load_model


def start_from(source: str, model: keras.Model, class_names: Sequence[str]) -> str:
    """Give a model the weights of another run, its classifier too where the classes are the same.

    Args:
        source: run directory or `.keras` file. A file does not say what its classes are.
        model: of the new run.
        class_names: of the new run.

    Returns:
        What was copied, for a person to read.

    Raises:
        UserError: the source cannot be loaded, or its weights do not fit.
    """
    same = Path(source).is_dir() and Run(source).class_names() == list(class_names)
    return transfer_weights(load_model(source), model, same_classes=same).table()
