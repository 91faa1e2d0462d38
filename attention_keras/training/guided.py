"""Training where to look: a loss on the share of attention that lies off the object.

The idea is the energy loss of Rao et al. 2023 ("Studying How to Efficiently and Effectively Guide Models with
Explanations", ICCV), which asks that the positive part of an explanation lies inside the object. Here the
explanation is the network's own attention.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from attention_keras.models.outputs import attention_maps
from attention_keras.training.weight_average import AveragedClassifier

OFF_OBJECT = "off_object"


def area_weights(fine: int, coarse: int) -> np.ndarray:
    """How much each of `fine` pixels counts in the mean over each of `coarse` cells of the same length.

    Returns:
        `(coarse, fine)` float32; a row adds up to 1. A pixel on the border of two cells counts in both, by
        its parts.

    Example:
        >>> (6 * area_weights(3, 2)).round().tolist()
        [[4.0, 2.0, 0.0], [0.0, 2.0, 4.0]]
    """
    cell, pixel = np.arange(coarse)[:, None] * fine / coarse, np.arange(fine)
    overlap = np.minimum(cell + fine / coarse, pixel + 1) - np.maximum(cell, pixel)
    return (np.maximum(overlap, 0) * coarse / fine).astype("float32")


def share_off_object(attention: Any, objects: Any) -> Any:
    """The share of each attention map that lies off the object.

    A cell of the map that the object covers by half counts as half on it.

    Args:
        attention: `(b, h, w)`, not negative; a map is divided by its sum.
        objects: `(b, H, W)` in [0, 1], 1 on the object.

    Returns:
        `(b,)` float32 in [0, 1].

    Example:
        >>> attention = np.array([[[0.75, 0.25]]], "float32")
        >>> objects = np.array([[[1, 1, 1, 0], [1, 1, 1, 0]]], "float32")
        >>> float(share_off_object(attention, objects)[0])
        0.125
    """
    attention, objects = ops.cast(attention, "float32"), ops.cast(objects, "float32")
    rows = area_weights(objects.shape[1], attention.shape[1])
    columns = area_weights(objects.shape[2], attention.shape[2])
    covered = ops.matmul(rows, ops.matmul(objects, columns.T))
    whole = ops.maximum(ops.sum(attention, axis=(1, 2)), keras.config.epsilon())
    return 1.0 - ops.sum(attention * covered, axis=(1, 2)) / whole


class OffObject(keras.losses.Loss):
    """`share_off_object` of maps `(b, h, w)` for objects `(b, H, W)`, as Keras takes a loss.

    Keras divides by the number of images, whatever their weights, and by the number of replicas.
    """

    def call(self, y_true, y_pred):
        return share_off_object(y_pred, y_true)


class GuidedClassifier(AveragedClassifier):
    """A classifier whose attention is trained too, on the images whose object is told.

    Its targets are one-hot labels, or a dictionary of `labels` and `objects` `(b, H, W)`, with an empty mask
    for an image whose object is not told. With the dictionary, the loss in training is

        loss of the labels + weight * sum over the told images i of off_i / b

    where off_i is `share_off_object`, averaged over the taps. The sum is divided by the batch size b, not by
    the number of told images in the batch. So the parts of a batch on several devices, or of an accumulated
    update, add up to the whole batch's loss exactly. A weight of `W * images / told images` makes the term W
    times the mean over the told images, averaged over an epoch. The loss in validation is that of the labels
    alone, so that it compares with runs without the term; the metric `off_object` is there for both.
    """

    def attend_to(self, weight: float) -> None:
        """Switch the term on; call it before `compile`, in the strategy's scope.

        Args:
            weight: of the term.
        """
        self.attend_to_weight = weight
        self.off_object = keras.metrics.Mean(name=OFF_OBJECT)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if not isinstance(y, dict):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        loss = super().compute_loss(x, y["labels"], y_pred, sample_weight, training)
        if not training:
            return loss
        maps, told = attention_maps(y_pred).values(), _is_told(y["objects"])
        terms = [OffObject()(y["objects"], attention, told) for attention in maps]
        return loss + self.attend_to_weight * sum(terms) / len(terms)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        if not isinstance(y, dict):
            return super().compute_metrics(x, y, y_pred, sample_weight)
        shares = [share_off_object(attention, y["objects"]) for attention in attention_maps(y_pred).values()]
        self.off_object.update_state(sum(shares) / len(shares), _is_told(y["objects"]))
        return super().compute_metrics(x, y["labels"], y_pred, sample_weight)


def _is_told(objects: Any) -> Any:
    """1 for each image with an object in its mask, else 0: `(b,)` float32."""
    return ops.cast(ops.any(objects > 0, axis=(1, 2)), "float32")
