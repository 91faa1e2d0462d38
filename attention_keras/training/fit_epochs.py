"""The epochs of a stage that are left, by `model.fit`."""

from collections.abc import Callable, Sequence
from functools import partial

import keras
import tensorflow as tf

from attention_keras.training.batch_norm import fused_batch_norm
from attention_keras.training.stages import Stage, parts_left


def fit_epochs(
    model: keras.Model,
    batches: Callable[..., tf.data.Dataset],
    validation: tf.data.Dataset,
    *,
    stage: Stage,
    step: int,
    steps: int,
    callbacks: Sequence[keras.callbacks.Callback],
    saving: keras.callbacks.Callback,
    is_over: Callable[[], bool],
) -> None:
    """Train from any step of a stage to its end.

    Args:
        model: compiled.
        batches: `training_batches`, but for `epochs`, `augment` and `start_step`.
        validation: batches.
        stage: not finished.
        step: steps of the run that are done.
        steps: in an epoch.
        callbacks: as `fit` takes them. What they write after an epoch is of the averaged network, where the
            model averages its weights.
        saving: the callback that keeps what training goes on with.
        is_over: whether training is to end before the stage does.
    """
    batches = partial(batches, augment=stage.augment)
    with fused_batch_norm(model):
        for first, last, length in parts_left(stage, step, steps):
            if is_over():
                return
            model.fit(
                batches(epochs=last, start_step=(first + 1) * steps - length),
                initial_epoch=first,
                epochs=last,
                steps_per_epoch=length,
                shuffle=False,  # the batches come in their order already
                validation_data=validation,
                callbacks=[*callbacks, saving],
                verbose=0,
            )
