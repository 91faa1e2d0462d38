"""The loss of a run: cross-entropy, of the images as they come or with all classes counting alike."""

import keras
import numpy as np
from keras import ops


def build_loss(label_smoothing: float, counts: np.ndarray, balance: bool) -> keras.losses.Loss:
    """Cross-entropy of logits `(b, k)` against one-hot or mixed labels `(b, k)`.

    `counts` `(k,)` are the training images of each class, which all count alike with `balance`.
    """
    if not balance:
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)
    return BalancedCrossentropy(class_weights(counts).tolist(), label_smoothing)


def class_weights(counts: np.ndarray) -> np.ndarray:
    """n / (k n_c) for each class c: an epoch weighs every class alike, and an image 1 on average.

    Example:
        >>> class_weights(np.array([10, 30])).round(3).tolist()
        [2.0, 0.667]
    """
    there = np.maximum(counts, 1)
    return np.where(counts > 0, counts.sum() / (np.count_nonzero(counts) * there), 0.0)


@keras.saving.register_keras_serializable(package="attention_keras")
class BalancedCrossentropy(keras.losses.Loss):
    """Cross-entropy of each image, times the weight of its class; of mixed labels, their mean weight.

    Example:
        >>> loss = BalancedCrossentropy([3.0, 1.0])
        >>> round(float(loss(np.array([[1.0, 0.0]], "float32"), np.zeros((1, 2), "float32"))), 4)
        2.0794
    """

    def __init__(self, weights: list[float], label_smoothing: float = 0.0, name="balanced_crossentropy"):
        super().__init__(name=name)
        self.weights, self.label_smoothing = weights, label_smoothing

    def call(self, y_true, y_pred):
        losses = keras.losses.categorical_crossentropy(
            y_true, y_pred, from_logits=True, label_smoothing=self.label_smoothing
        )
        return losses * ops.sum(y_true * ops.cast(self.weights, y_true.dtype), axis=-1)
