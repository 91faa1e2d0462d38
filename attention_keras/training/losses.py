"""What a training minimises: cross-entropy, and on request the share of attention that lies off the object.

The latter follows the energy loss of Rao et al. 2023 ("Studying How to Efficiently and Effectively Guide
Models with Explanations", ICCV); the explanation is the network's own attention.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from attention_keras.models.outputs import attention_maps

OFF_OBJECT = "off_object"


def build_loss(label_smoothing: float, counts: np.ndarray, balance: bool) -> keras.losses.Loss:
    """Cross-entropy of logits `(b, k)` against one-hot or mixed labels `(b, k)`.

    `counts` `(k,)` are the training images of each class, which all count alike with `balance`.
    """
    if not balance:
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)
    return BalancedCrossentropy(class_weights(counts).tolist(), label_smoothing)


def class_weights(counts: np.ndarray) -> np.ndarray:
    """n / (k n_c) for each class c: an epoch weighs every class alike, and an image 1 on average."""
    there = np.maximum(counts, 1)
    return np.where(counts > 0, counts.sum() / (np.count_nonzero(counts) * there), 0.0)


@keras.saving.register_keras_serializable(package="attention_keras")
class BalancedCrossentropy(keras.losses.Loss):
    """Cross-entropy of each image, times the weight of its class; of mixed labels, their mean weight."""

    def __init__(self, weights: list[float], label_smoothing: float = 0.0, name="balanced_crossentropy"):
        super().__init__(name=name)
        self.weights, self.label_smoothing = weights, label_smoothing

    def call(self, y_true, y_pred):
        losses = keras.losses.categorical_crossentropy(
            y_true, y_pred, from_logits=True, label_smoothing=self.label_smoothing
        )
        return losses * ops.sum(y_true * ops.cast(self.weights, y_true.dtype), axis=-1)


def area_weights(fine: int, coarse: int) -> np.ndarray:
    """How much each of `fine` pixels counts in the mean over each of `coarse` cells of the same length.

    `(coarse, fine)` float32, whose rows add up to 1. A pixel on a border counts in both cells, by its parts.
    """
    cell, pixel = np.arange(coarse)[:, None] * fine / coarse, np.arange(fine)
    overlap = np.minimum(cell + fine / coarse, pixel + 1) - np.maximum(cell, pixel)
    return (np.maximum(overlap, 0) * coarse / fine).astype("float32")


def share_off_object(attention: Any, objects: Any) -> Any:
    """The share of each attention map `(b, h, w)` that lies off the object: `(b,)` float32 in [0, 1].

    `objects` `(b, H, W)` is 1 on the object and 0 off it; a cell that it covers by half counts as half on it.
    """
    attention, objects = ops.cast(attention, "float32"), ops.cast(objects, "float32")
    rows = area_weights(objects.shape[1], attention.shape[1])
    columns = area_weights(objects.shape[2], attention.shape[2])
    covered = ops.matmul(rows, ops.matmul(objects, columns.T))
    whole = ops.maximum(ops.sum(attention, axis=(1, 2)), keras.config.epsilon())
    return 1.0 - ops.sum(attention * covered, axis=(1, 2)) / whole


class OffObject(keras.losses.Loss):
    """`share_off_object` as a Keras loss, which divides by the number of images and of replicas."""

    def call(self, y_true, y_pred):
        return share_off_object(y_pred, y_true)


class GuidanceLoss:
    """The term `weight * sum over the told images i of off_i / b` of a loss, for `TrainingHooks`.

    off_i is `share_off_object`, averaged over the taps; an image with an empty mask is not told. Dividing by
    the batch size b, not by the told images in the batch, makes the parts of a batch on several devices or in
    an accumulated update add up to the whole batch's loss.
    """

    def __init__(self, weight: float):
        self.weight, self._off_object = weight, OffObject()

    def __call__(self, targets, outputs):
        maps, told = attention_maps(outputs).values(), _is_told(targets["objects"])
        terms = [self._off_object(targets["objects"], attention, told) for attention in maps]
        return self.weight * sum(terms) / len(terms)


class MeanOffObject(keras.metrics.Mean):
    """The mean of off_i over the told images, for `TrainingHooks`."""

    def __init__(self, name=OFF_OBJECT):
        super().__init__(name)

    def update_state(self, targets, outputs):
        maps, objects = attention_maps(outputs).values(), targets["objects"]
        shares = [share_off_object(attention, objects) for attention in maps]
        super().update_state(sum(shares) / len(shares), _is_told(objects))


def _is_told(objects: Any) -> Any:
    """1 for each image with an object in its mask, else 0: `(b,)` float32."""
    return ops.cast(ops.any(objects > 0, axis=(1, 2)), "float32")
