"""The moving average of a network's weights, which is validated, tested and saved in place of the last."""

import math
from typing import Any

import keras
from keras import ops

from attention_keras.models.classifier import Classifier


def newest_share(decay: float, updates: Any) -> Any:
    """The share of the newest weights in the average of all, after so many updates.

    With it, `average += share * (weights - average)` after each update is the mean of the weights after the
    updates 1 to n, where those of k updates ago count decay ** k. Keras's own `use_ema` has the share
    1 - decay from the second update on, so that the weights after the first, which are random still, keep
    decay ** n of the whole: 37 % after 1,000 updates at 0.999.

    Args:
        decay: above 0 and below 1.
        updates: of the weights, 1 or more; a tensor in a compiled step.

    Example:
        >>> float(newest_share(0.9, 1)), round(float(newest_share(0.9, 2)), 4)
        (1.0, 0.5263)
    """
    # expm1, because 1 - decay ** n loses most digits of float32 at first.
    return (1 - decay) / -ops.expm1(ops.cast(updates, "float32") * math.log(decay))


class WeightAverage:
    """The averages of a model's variables: of its weights, and of the statistics of batch normalisation.

    The statistics belong to weights. With the average of the weights, those of the last weights would be
    wrong by as much as the two differ; their average is right to first order (timm averages both as well).

    Args:
        model: its floating-point variables are averaged. Seeds are not.
        decay: as of `newest_share`.

    Attributes:
        variables: of the model.
        averages: one for each of them.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        >>> average = WeightAverage(model, decay=0.5)
        >>> for updates, value in enumerate([2.0, 5.0], start=1):
        ...     model.set_weights([ops.full((1, 1), value)])
        ...     average.update(updates)
        >>> average.swap()
        >>> [round(weight.item(), 6) for weight in model.get_weights()]
        [4.0]
    """

    def __init__(self, model: keras.Model, decay: float):
        self.decay = decay
        self.variables = [v for v in model.variables if keras.backend.is_float_dtype(v.dtype)]
        # Every replica keeps its own, equal to the others', and nothing is sent between devices.
        self.averages = [
            keras.Variable(
                ops.convert_to_numpy(variable),
                dtype=variable.dtype,
                trainable=False,
                synchronization="on_read",
                aggregation="only_first_replica",
                name=f"average_{variable.name}",
            )
            for variable in self.variables
        ]

    def update(self, updates: Any, updated: Any = True) -> None:
        """Take the weights into the average.

        Args:
            updates: of the weights so far.
            updated: whether the last step was one; a part of an update is not.
        """
        share = ops.where(updated, newest_share(self.decay, ops.maximum(updates, 1)), 0.0)
        for variable, average in zip(self.variables, self.averages, strict=True):
            average.assign(average + share * (variable - average))

    def swap(self) -> None:
        """Put the average into the model and keep its weights meanwhile, or the reverse; to the bit."""
        for variable, average in zip(self.variables, self.averages, strict=True):
            kept = ops.convert_to_numpy(variable)
            variable.assign(ops.convert_to_numpy(average))
            average.assign(kept)


class AveragedClassifier(Classifier):
    """A classifier that averages its weights in each step, where it is told to."""

    average: WeightAverage | None = None

    def average_weights(self, decay: float) -> None:
        """Begin an average; call it in the strategy's scope, with `compile`.

        Args:
            decay: as of `newest_share`.
        """
        self.average = WeightAverage(self, decay)

    def train_step(self, data):
        if self.average is None:
            return super().train_step(data)
        # Neither a part of an accumulated update nor a step that loss scaling skips is an update.
        before = ops.copy(self.optimizer.iterations)
        logs = super().train_step(data)
        updates = ops.copy(self.optimizer.iterations)
        self.average.update(updates, updates > before)
        return logs


class AverageInPlace(keras.callbacks.Callback):
    """Puts the average into the network for validation and for all that is written after an epoch.

    Its place is behind what writes and before the checkpoint, which holds the weights that training goes on
    with. After the last epoch of a stage these are the average: it is what the stage leaves to the next, to
    the test and to the files.

    Args:
        average: of the network.
        last: the stage's last epoch, counted from 1.
    """

    def __init__(self, average: WeightAverage, last: int):
        super().__init__()
        self.average, self.last = average, last

    def on_test_begin(self, logs=None):
        self.average.swap()

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 < self.last:
            self.average.swap()
