"""Loss and accuracy that also fit `indep` models, which classify once per level."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="attention_keras")
class LevelwiseCrossentropy(keras.losses.Loss):
    """Softmax cross-entropy on logits; for `indep` models the sum of the per-level cross-entropies.

    Targets are `(b, k)` rows that sum to 1, predictions logits `(b, k)` or `(b, L, k)`.
    Source: ClassNLLCriterion over added log-probabilities, `2_level_atten_1global_pred-ensemble`
    of the official code; summing log-probabilities of the target is summing cross-entropies.

    Args:
        label_smoothing: share of the target spread over all k classes.

    Example:
        >>> loss = LevelwiseCrossentropy()
        >>> float(loss([[1.0, 0.0]], [[[0.0, 0.0], [0.0, 0.0]]]))  # 2 levels, each log 2
        1.3862943649291992
    """

    def __init__(self, label_smoothing=0.0, name="crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        classes = y_pred.shape[-1]
        y_true = y_true * (1.0 - self.label_smoothing) + self.label_smoothing / classes
        if len(y_pred.shape) == 2:
            return ops.categorical_crossentropy(y_true, y_pred, from_logits=True)
        log_probabilities = ops.log_softmax(y_pred, axis=-1)
        return -ops.sum(ops.expand_dims(y_true, 1) * log_probabilities, axis=(1, 2))

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="attention_keras")
class TopOneAccuracy(keras.metrics.MeanMetricWrapper):
    """Share of images whose most probable class is the target's; levels `(b, L, k)` are averaged first."""

    def __init__(self, name="accuracy", dtype=None):
        super().__init__(_correct, name=name, dtype=dtype)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


def _correct(y_true, y_pred):
    y_pred = ops.convert_to_tensor(y_pred)
    if len(y_pred.shape) == 3:
        y_pred = ops.mean(ops.softmax(y_pred, axis=-1), axis=1)
    return ops.cast(ops.equal(ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1)), "float32")
