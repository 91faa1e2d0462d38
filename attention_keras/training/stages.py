"""The stages of a training: with a frozen backbone, then with all weights; or the latter alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from attention_keras.runs.config import RunConfig
from attention_keras.training.device import fused_batch_norm


@dataclass(frozen=True)
class Stage:
    """The epochs first + 1 to last of a run, trained with one optimiser.

    `learning_rate` is the peak of the schedule, `augment` that of the images; where the backbone is `frozen`,
    its features are computed once.
    """

    first: int
    last: int
    learning_rate: float
    augment: str
    frozen: bool

    @property
    def epochs(self) -> int:
        """How many there are."""
        return self.last - self.first


def stages_of(config: RunConfig) -> list[Stage]:
    """The stages of a run that have epochs.

    Example:
        >>> config = RunConfig(backbone="keras:VGG16", weights="imagenet", epochs=3)
        >>> [(stage.first, stage.last, stage.frozen) for stage in stages_of(config)]
        [(0, 1, True), (1, 4, False)]
    """
    frozen = Stage(0, config.frozen_epochs, config.frozen_learning_rate, "none", True)
    whole = Stage(config.frozen_epochs, config.all_epochs, config.learning_rate, config.augment, False)
    return [stage for stage in (frozen, whole) if stage.epochs]


def panel_epochs(stages: Sequence[Stage]) -> set[int]:
    """The epochs, counted from 1, after which a person looks at attention.

    All of them, but only the last with a frozen backbone, where drawing would take longer than training.

    Example:
        >>> sorted(panel_epochs([Stage(0, 3, 1e-3, "none", True), Stage(3, 5, 1e-4, "none", False)]))
        [3, 4, 5]
    """
    epochs: set[int] = set()
    for stage in stages:
        epochs.update(range(stage.last if stage.frozen else stage.first + 1, stage.last + 1))
    return epochs


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
    """Train a compiled model from any `step` of the run that is in the stage to the stage's end.

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

    For each part its first epoch, counted from 0, the one after its last, and the steps in an epoch.

    Example:
        >>> parts_left(Stage(0, 3, 1e-3, "none", False), step=14, steps_per_epoch=10)
        [(1, 2, 6), (2, 3, 10)]
    """
    epoch, done = divmod(step, steps_per_epoch)
    rest = [(epoch, epoch + 1, steps_per_epoch - done)] if done else []
    whole = (epoch + bool(done), stage.last, steps_per_epoch)
    return rest + ([whole] if whole[0] < whole[1] else [])
