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

OFF_OBJECT = "off_object"


def area_weights(fine: int, coarse: int) -> np.ndarray:
    """How much each of `fine` pixels counts in the mean over each of `coarse` cells of the same length.

    `(coarse, fine)` float32; a row adds up to 1. A pixel on the border of two cells counts in both, by its
    parts.

    Example:
        >>> (6 * area_weights(3, 2)).round().tolist()
        [[4.0, 2.0, 0.0], [0.0, 2.0, 4.0]]
    """
    cell, pixel = np.arange(coarse)[:, None] * fine / coarse, np.arange(fine)
    overlap = np.minimum(cell + fine / coarse, pixel + 1) - np.maximum(cell, pixel)
    return (np.maximum(overlap, 0) * coarse / fine).astype("float32")


def share_off_object(attention: Any, objects: Any) -> Any:
    """The share of each attention map that lies off the object: `(b,)` float32 in [0, 1].

    `attention` `(b, h, w)` is not negative and is divided by its sum; `objects` `(b, H, W)` is 1 on the
    object and 0 off it. A cell of the map that the object covers by half counts as half on it.

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


class GuidanceLoss:
    """The term `weight * sum over the told images i of off_i / b` of a loss, for `TrainingHooks`.

    Targets have `objects` `(b, H, W)`, with an empty mask for an image whose object is not told; off_i is
    `share_off_object`, averaged over the taps. The sum is divided by the batch size b, not by the number of
    told images in the batch. So the parts of a batch on several devices, or of an accumulated update, add up
    to the whole batch's loss exactly. A weight of `W * images / told images` makes the term W times the mean
    over the told images, averaged over an epoch.
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
