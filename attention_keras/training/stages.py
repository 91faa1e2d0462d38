"""The stages of a training: with a frozen backbone, then with all weights; or the latter alone."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from attention_keras.runs.config import RunConfig
from attention_keras.training.device import fused_batch_norm


class Stage(NamedTuple):
    """The epochs first + 1 to last of a run, trained with one optimiser, at most at this learning rate."""

    first: int
    last: int
    learning_rate: float
    augment: str
    frozen: bool


def stages_of(config: RunConfig) -> list[Stage]:
    """The stages of a run that have epochs."""
    frozen = Stage(0, config.frozen_epochs, config.frozen_learning_rate, "none", True)
    whole = Stage(config.frozen_epochs, config.all_epochs, config.learning_rate, config.augment, False)
    return [stage for stage in (frozen, whole) if stage.first < stage.last]


def panel_epochs(stages: Sequence[Stage]) -> set[int]:
    """The epochs, counted from 1, after which attention is drawn.

    Of a frozen stage it is the last one: to draw takes longer there than to train.
    """
    frozen = {stage.last for stage in stages if stage.frozen}
    return frozen.union(*(range(stage.first + 1, stage.last + 1) for stage in stages if not stage.frozen))


def fit_rest(
    model: keras.Model,
    batches: Callable[..., tf.data.Dataset],
    validation: tf.data.Dataset,
    *,
    stage: Stage,
    step: int,
    steps_per_epoch: int,
    callbacks: Sequence[keras.callbacks.Callback],
    is_over: Callable[[], bool],
) -> None:
    """Train a compiled model from any `step` of the run to the end of the stage.

    `batches` is `training_batches`, but for `epochs` and `start_step`.
    """
    with fused_batch_norm(model):
        for first, last, length in parts_left(stage, step, steps_per_epoch):
            if is_over():
                return
            model.fit(
                batches(epochs=last, start_step=(first + 1) * steps_per_epoch - length),
                initial_epoch=first,
                epochs=last,
                steps_per_epoch=length,
                shuffle=False,  # the batches come in their order already
                validation_data=validation,
                callbacks=list(callbacks),
                verbose=0,
            )


def parts_left(stage: Stage, step: int, steps_per_epoch: int) -> list[tuple[int, int, int]]:
    """What is left of a stage: the rest of an interrupted epoch, if any, and then the whole epochs.

    Each part is its first epoch, from 0, the one after its last, and the steps in an epoch.

    Example:
        >>> parts_left(Stage(0, 3, 1e-3, "none", False), step=14, steps_per_epoch=10)
        [(1, 2, 6), (2, 3, 10)]
    """
    epoch, done = divmod(step, steps_per_epoch)
    rest = [(epoch, epoch + 1, steps_per_epoch - done)] if done else []
    whole = (epoch + bool(done), stage.last, steps_per_epoch)
    return rest + ([whole] if whole[0] < whole[1] else [])
