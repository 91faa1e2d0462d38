"""What a training minimises: a loss of the labels, and on request the share of attention off the object.

The latter follows the energy loss of Rao et al. 2023 ("Studying How to Efficiently and Effectively Guide
Models with Explanations", ICCV); the explanation is the network's own attention.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from attention_keras.data.labels import class_counts, kind_of
from attention_keras.data.split import Split
from attention_keras.models.outputs import attention_maps

OFF_OBJECT = "off_object"


def loss_of(labels: np.ndarray, num_classes: int, label_smoothing: float, balance: bool) -> Callable:
    """The loss `(b,)` of logits `(b, k)` against targets `(b, k)`, in a run with these training labels.

    Of classes it is the cross-entropy, whose targets may be mixed. Of tags it is the sum of their binary
    ones, as of one classifier for each tag: then the penalties of a head mean the same for few tags and for
    many. With `balance` all classes count alike, and of each tag the images with it and without.
    """
    kind = kind_of(labels)
    if kind == "number":
        return keras.losses.mean_squared_error
    weights = balanced_weights(labels, num_classes) if balance else None

    def of_classes(y_true, y_pred):
        options = {"from_logits": True, "label_smoothing": label_smoothing}
        losses = keras.losses.categorical_crossentropy(y_true, y_pred, **options)
        return losses if weights is None else losses * ops.sum(y_true * ops.cast(weights, y_true.dtype), -1)

    def of_tags(y_true, y_pred):
        smooth = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
        losses = ops.maximum(y_pred, 0) - y_pred * smooth + ops.softplus(-ops.abs(y_pred))
        if weights is not None:
            absent, there = (ops.cast(weight, y_pred.dtype) for weight in weights)
            losses = losses * ops.where(y_true > 0.5, there, absent)
        return ops.sum(losses, axis=-1)

    return of_classes if kind == "single" else of_tags


def balanced_weights(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """n / (k n_c) of each class c, `(k,)`, or of tags `(2, k)`, for images without and with each."""
    counts, images = class_counts(labels, num_classes), len(labels)
    if kind_of(labels) == "single":
        return np.where(counts > 0, images / (np.count_nonzero(counts) * np.maximum(counts, 1)), 0.0)
    both = np.stack([images - counts, counts])
    return np.where(both.min(axis=0) > 0, images / (2 * np.maximum(both, 1)), 1.0)


def importance_of(split: Split, num_classes: int, balance: bool) -> np.ndarray | None:
    """How much each image `(n,)`, or each tag of it `(n, k)`, counts; None where all do alike."""
    labels, importance = np.asarray(split.labels), split.weights
    if importance is not None:
        importance = importance / importance.mean()
    if not balance:
        return importance
    weights = balanced_weights(labels, num_classes)
    found = weights[labels] if weights.ndim == 1 else np.where(labels, weights[1], weights[0])
    return found if importance is None else (found.T * importance).T


def area_weights(fine: int, coarse: int) -> np.ndarray:
    """How much each of `fine` pixels counts in the mean over each of `coarse` cells: `(coarse, fine)`."""
    cell, pixel = np.arange(coarse)[:, None] * fine / coarse, np.arange(fine)
    overlap = np.minimum(cell + fine / coarse, pixel + 1) - np.maximum(cell, pixel)
    return (np.maximum(overlap, 0) * coarse / fine).astype("float32")


def share_off_object(attention: Any, objects: Any) -> Any:
    """The share `(b,)` of attention `(b, h, w)` off `objects` `(b, H, W)`; a cell half on one counts half."""
    attention, objects = ops.cast(attention, "float32"), ops.cast(objects, "float32")
    rows = area_weights(objects.shape[1], attention.shape[1])
    columns = area_weights(objects.shape[2], attention.shape[2])
    covered = ops.matmul(rows, ops.matmul(objects, columns.T))
    whole = ops.maximum(ops.sum(attention, axis=(1, 2)), keras.config.epsilon())
    return 1.0 - ops.sum(attention * covered, axis=(1, 2)) / whole


def guidance(weight: float) -> Callable:
    """The term `weight * sum over the told images i of off_i / b` of a loss, for `TrainingHooks`.

    Dividing by the batch size b, not by the told images in the batch, makes the parts of a batch on several
    devices or in an accumulated update add up to the whole batch's loss.
    """
    mean = keras.losses.MeanAbsoluteError()  # it divides by the images, and by the replicas of a strategy

    def term(targets, outputs):
        shares, told = _off_object(targets["objects"], outputs)
        return weight * mean(ops.zeros_like(shares)[:, None], shares[:, None], told)

    return term


class MeanOffObject(keras.metrics.Mean):
    """The mean of off_i over the told images, for `TrainingHooks`."""

    def __init__(self, name=OFF_OBJECT):
        super().__init__(name)

    def update_state(self, targets, outputs):
        super().update_state(*_off_object(targets["objects"], outputs))


def _off_object(objects: Any, outputs: Any) -> tuple[Any, Any]:
    """off_i `(b,)`, the share of an image's attention off its object, averaged over the taps; who is told.

    An image with an empty mask is not: its number is 0, and 1 of the others.
    """
    maps = attention_maps(outputs).values()
    shares = sum(share_off_object(attention, objects) for attention in maps) / len(maps)
    return shares, ops.cast(ops.any(objects > 0, axis=(1, 2)), "float32")
