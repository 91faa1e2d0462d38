"""What a training minimises and is judged by, and on request the share of attention off the object.

The latter follows the energy loss of Rao et al. 2023 ("Studying How to Efficiently and Effectively Guide
Models with Explanations", ICCV); the explanation is the network's own attention.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from attention_keras.data.registry import parse_augment
from attention_keras.data.split import ImageDataset, Kind, Split, class_counts, kind_of
from attention_keras.errors import UserError
from attention_keras.models.classifier import Classifier
from attention_keras.models.outputs import LEVEL_LOGITS, LOGITS, attention_maps
from attention_keras.runs.config import RunConfig

ACTIVATIONS: dict[Kind, str] = {"single": "softmax", "multi": "sigmoid", "number": "linear"}
MEASURES: dict[Kind, str] = {"single": "accuracy", "multi": "mAP", "number": "R2"}
"""What a validation is judged by; more is better."""
WORDS: dict[Kind, str] = {"single": "classes", "multi": "tags", "number": "number"}
OFF_OBJECT = "off_object"


def refuse_wrong_kind(config: RunConfig, dataset: ImageDataset) -> None:
    """Of tags and numbers, raise UserError for what is for one class each."""
    mixes = [name for name in parse_augment(config.augment).mixes if name != "cutout"]
    wrong = {
        f"augment {'+'.join(mixes)}": mixes,
        "aggregate indep": config.spec.aggregate == "indep" and config.spec.levels > 1,
        "label_smoothing": dataset.kind == "number" and config.label_smoothing > 0,
        "balance": dataset.kind == "number" and config.balance,
        "init_from": config.init_from,
        "tiles": config.tiles,
    }
    has = f"{dataset.name} has {WORDS[dataset.kind]}"
    for what, given in wrong.items():
        if given and dataset.kind != "single":
            raise UserError(f"{what} is for images of one class each, and {has}")


@dataclasses.dataclass(frozen=True)
class Units:
    """Mean and deviation of the training images' numbers, which are trained as of mean 0 and deviation 1."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, dataset: ImageDataset) -> "Units | None":
        labels = np.asarray(dataset.train.labels, "float64")
        return cls(float(labels.mean()), float(labels.std()) or 1.0) if dataset.kind == "number" else None

    def scaled(self, split: Split) -> Split:
        labels = ((split.labels - self.mean) / self.deviation).astype("float32")
        return dataclasses.replace(split, labels=labels)

    def answering(self, model: Classifier) -> Classifier:
        """The model that answers in these units, where it was trained on scaled numbers."""
        rescale = keras.layers.Rescaling(self.deviation, self.mean, dtype="float32", name="units")
        outputs = {name: tensor for name, tensor in model.output.items() if name != LEVEL_LOGITS}
        return model.like(model.input, outputs | {LOGITS: rescale(outputs[LOGITS])})


def metric_of(kind: Kind, num_classes: int) -> keras.metrics.Metric:
    """The measure of logits, by its name in `MEASURES`."""
    if kind == "multi":
        tags = {"multi_label": True, "num_labels": num_classes, "from_logits": True}
        return keras.metrics.AUC(curve="PR", name=MEASURES[kind], **tags)
    metric = keras.metrics.CategoricalAccuracy if kind == "single" else keras.metrics.R2Score
    return metric(name=MEASURES[kind])


def loss_of(labels: np.ndarray, num_classes: int, label_smoothing: float, balance: bool) -> Callable:
    """The loss `(b,)` of logits against targets `(b, k)`; of tags a sum, as of a classifier each."""
    kind = kind_of(labels)
    if kind == "number":
        return keras.losses.mean_squared_error
    weights = balanced_weights(labels, num_classes).astype("float32") if balance else None

    def of_classes(targets, logits):
        options = {"from_logits": True, "label_smoothing": label_smoothing}
        losses = keras.losses.categorical_crossentropy(targets, logits, **options)
        return losses if weights is None else losses * ops.sum(targets * weights, axis=-1)

    def of_tags(targets, logits):
        smooth = targets * (1 - label_smoothing) + 0.5 * label_smoothing
        losses = ops.binary_crossentropy(smooth, logits, from_logits=True)
        if weights is not None:
            losses *= ops.where(targets > 0.5, weights[1], weights[0])
        return ops.sum(losses, axis=-1)

    return of_classes if kind == "single" else of_tags


def balanced_weights(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """n / (k n_c) of each class c, `(k,)`, or of tags `(2, k)`, for images without and with each."""
    counts, images = class_counts(labels, num_classes), len(labels)
    if kind_of(labels) == "single":
        return np.where(counts > 0, images / (np.count_nonzero(counts) * np.maximum(counts, 1)), 0.0)
    both = np.stack([images - counts, counts])
    return np.where(both.min(axis=0) > 0, images / (2 * np.maximum(both, 1)), 1.0)


def importance_of(split: Split, num_classes: int, balance: bool) -> np.ndarray:
    """How much each image `(n, 1)`, or each tag of it `(n, k)`, counts."""
    counts = np.ones(len(split)) if split.weights is None else split.weights / split.weights.mean()
    if not balance:
        return counts[:, None]
    labels, weights = np.asarray(split.labels), balanced_weights(split.labels, num_classes)
    of_label = weights[labels][:, None] if weights.ndim == 1 else np.where(labels, weights[1], weights[0])
    return counts[:, None] * of_label


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
    """weight * sum of off_i over the told images / b: so the parts of a batch add up to the batch's loss."""
    mean = keras.losses.MeanAbsoluteError()  # it divides by the images, and by the replicas of a strategy

    def term(targets, outputs):
        shares, told = _off_object(targets["objects"], outputs)
        return weight * mean(ops.zeros_like(shares)[:, None], shares[:, None], told)

    return term


class MeanOffObject(keras.metrics.Mean):
    """The mean of off_i over the told images, for `TrainingHooks`."""

    def update_state(self, targets, outputs):
        super().update_state(*_off_object(targets["objects"], outputs))


def _off_object(objects: Any, outputs: Any) -> tuple[Any, Any]:
    """off_i `(b,)`, averaged over the taps, and 1 for each image that is told, or 0: its mask is empty."""
    maps = attention_maps(outputs).values()
    shares = sum(share_off_object(attention, objects) for attention in maps) / len(maps)
    return shares, ops.cast(ops.any(objects > 0, axis=(1, 2)), "float32")
