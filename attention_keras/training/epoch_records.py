"""What a run writes after each epoch."""

from collections.abc import Callable, Container

import keras

from attention_keras.data.split import Split
from attention_keras.runs.directory import Run
from attention_keras.training.history import History
from attention_keras.training.keep_best import KeepBest
from attention_keras.training.tensorboard import AttentionImages, Scalars


def epoch_records(
    run: Run,
    history: History,
    model: keras.Model,
    shown: Split,
    shown_after: Container[int],
    save_best: Callable[[], None],
) -> list[keras.callbacks.Callback]:
    """Callbacks for the history, the curves and attention panels in TensorBoard, and the best model.

    Args:
        run: the directory; the history so far is written at once.
        history: of the run.
        model: the whole network; what is trained may be a part of it.
        shown: validation images for the panels.
        shown_after: the epochs that panels are drawn after, counted from 1.
        save_best: saves the model.
    """
    run.write_history(history.records)
    names = run.class_names()
    return [
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: run.write_history(history.records)),
        Scalars(run.tensorboard, history),
        AttentionImages(model, shown.images, shown.labels, names, shown_after, run.tensorboard),
        KeepBest(history, save_best),
    ]
