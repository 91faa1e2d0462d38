"""Joining classifiers that each look at one level: the paper's `indep`."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="attention_keras")
class LevelEnsemble(keras.layers.Layer):
    """Logits of L levels, each `(b, k)`, to `(b, L, k)` for training and `(b, k)` for prediction.

    The prediction is the mean of the levels' class probabilities (paper, section 3.2), returned as its
    logarithm, so that a softmax of the output gives that mean. Float32 under every dtype policy.

    Example:
        >>> import numpy as np
        >>> levels, logits = LevelEnsemble()([np.zeros((1, 2)), np.zeros((1, 2))])
        >>> [round(float(p), 3) for p in ops.exp(logits[0])]
        [0.5, 0.5]
    """

    def __init__(self, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)

    def call(self, level_logits):
        levels = ops.stack([ops.cast(logits, "float32") for logits in level_logits], axis=1)
        log_probabilities = ops.log_softmax(levels, axis=-1)
        mean = ops.logsumexp(log_probabilities, axis=1) - ops.log(float(len(level_logits)))
        return levels, mean

    def compute_output_spec(self, level_logits):
        batch, classes = level_logits[0].shape
        return (
            keras.KerasTensor((batch, len(level_logits), classes), dtype="float32"),
            keras.KerasTensor((batch, classes), dtype="float32"),
        )
