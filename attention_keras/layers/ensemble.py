"""From the logits of several classifiers to one answer: `indep`, a weighted sum, the best class."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="attention_keras")
class LevelEnsemble(keras.layers.Layer):
    """Logits of L levels, each `(b, k)`, to `(b, L, k)` for training and `(b, k)` for prediction.

    The prediction is the mean of the levels' class probabilities (paper, section 3.2), returned as its
    logarithm, so that a softmax of the output gives that mean. Float32 under every dtype policy.

    Example:
        >>> levels, logits = LevelEnsemble()([ops.zeros((1, 2)), ops.zeros((1, 2))])
        >>> [round(float(p), 3) for p in ops.exp(logits[0])]
        [0.5, 0.5]
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs | {"dtype": "float32"})

    def call(self, level_logits):
        levels = _stacked(level_logits)
        log_probabilities = ops.log_softmax(levels, axis=-1)
        return levels, ops.logsumexp(log_probabilities, axis=1) - ops.log(float(len(level_logits)))


@keras.saving.register_keras_serializable(package="attention_keras")
class WeightedLevels(keras.layers.Layer):
    """Logits of L classifiers, each `(b, k)`, to `(b, L, k)` for training and their weighted sum `(b, k)`.

    The weights, one positive number for each classifier, start at the L numbers `start` and are no part of
    the training: they are set afterwards by images that none of the classifiers has seen
    (`Classifier.weigh`), and calibrate the sum as well. Float32 under every dtype policy.

    Example:
        >>> levels, logits = WeightedLevels([1.0, 0.5])([ops.ones((1, 2)), 4 * ops.ones((1, 2))])
        >>> tuple(levels.shape), float(logits[0, 0])
        ((1, 2, 2), 3.0)
    """

    def __init__(self, start, **kwargs):
        super().__init__(**kwargs | {"dtype": "float32"})
        self.start = [float(value) for value in start]

    def build(self, level_logits_shape):
        self.weight = self.add_weight(
            shape=(len(self.start),),
            initializer=lambda shape, dtype: ops.convert_to_tensor(self.start, dtype),
            trainable=False,
            name="weight",
        )

    def call(self, level_logits):
        levels = _stacked(level_logits)
        return levels, ops.sum(levels * self.weight[:, None], axis=1)

    def get_config(self):
        return {**super().get_config(), "start": self.start}


@keras.saving.register_keras_serializable(package="attention_keras")
class PredictedClass(keras.layers.Layer):
    """The class of the largest of the logits, `(b, k)` -> `(b,)` int32. A layer, since operations are named
    by counting, and a graph from a file may have a name that the next one gets; not `argmax`, which LiteRT
    lacks as Keras writes it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs | {"dtype": "float32"})

    def call(self, logits):
        _, best = ops.top_k(logits, 1)
        return ops.squeeze(best, axis=-1)


def _stacked(level_logits):
    return ops.stack([ops.cast(logits, "float32") for logits in level_logits], axis=1)
