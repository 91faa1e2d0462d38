"""What the kind of labels decides in a training: the activation, the loss, the measure that chooses."""

import dataclasses

import keras
import numpy as np
from keras import ops

from attention_keras.data.labels import Kind, class_counts, kind_of
from attention_keras.data.registry import parse_augment
from attention_keras.data.split import ImageDataset, Split
from attention_keras.errors import UserError
from attention_keras.models.classifier import Classifier
from attention_keras.models.outputs import LEVEL_LOGITS, LOGITS
from attention_keras.runs.config import RunConfig
from attention_keras.training.losses import build_loss, class_weights

ACTIVATIONS: dict[Kind, str] = {"single": "softmax", "multi": "sigmoid", "number": "linear"}
MEASURES: dict[Kind, str] = {"single": "accuracy", "multi": "mAP", "number": "R2"}
"""What a validation is judged by; more is better."""
WORDS: dict[Kind, str] = {"single": "classes", "multi": "tags", "number": "number"}


def check_labels_fit(config: RunConfig, dataset: ImageDataset) -> None:
    """Refuse what is for images of one class each where these have tags or numbers."""
    kind = dataset.kind
    if kind == "single":
        return
    mixes = [name for name in parse_augment(config.augment).mixes if name != "cutout"]
    wrong = {
        f"augment {'+'.join(mixes)}": bool(mixes),
        "aggregate indep": config.spec.aggregate == "indep" and config.spec.levels > 1,
        "label_smoothing": kind == "number" and config.label_smoothing > 0,
        "balance": kind == "number" and config.balance,
        "init_from": bool(config.init_from),
        "tiles": bool(config.tiles),
    }
    if found := next((what for what, given in wrong.items() if given), None):
        raise UserError(f"{found} is for images of one class each, and {dataset.name} has {WORDS[kind]}")


def give_meaning(model: Classifier, dataset: ImageDataset) -> None:
    """What the model's numbers mean, which its file keeps."""
    model.class_names, model.activation = tuple(dataset.class_names), ACTIVATIONS[dataset.kind]
    model.value_range = dataset.values


def loss_of(config: RunConfig, labels: np.ndarray, num_classes: int) -> keras.losses.Loss:
    """The loss of logits `(b, k)` that a run with these training labels minimises."""
    kind, counts = kind_of(labels), class_counts(labels, num_classes)
    if kind == "single":
        return build_loss(config.label_smoothing, counts, config.balance)
    if kind == "number":
        return keras.losses.MeanSquaredError()
    weights = tag_weights(counts, len(labels)).tolist() if config.balance else None
    return TagCrossentropy(weights, config.label_smoothing)


def metric_of(kind: Kind, num_classes: int) -> keras.metrics.Metric:
    """The measure of logits, by its name in `MEASURES`."""
    if kind == "single":
        return keras.metrics.CategoricalAccuracy(name="accuracy")
    if kind == "number":
        return keras.metrics.R2Score(name="R2")
    return keras.metrics.AUC(
        curve="PR", multi_label=True, num_labels=num_classes, from_logits=True, name="mAP"
    )


def importance_of(split: Split, num_classes: int, balance: bool) -> np.ndarray | None:
    """How much each image `(n,)`, or each tag of it `(n, k)`, counts; None where all do alike."""
    labels, importance = np.asarray(split.labels), split.weights
    if importance is not None:
        importance = importance / importance.mean()
    if not balance:
        return importance
    counts = class_counts(labels, num_classes)
    if kind_of(labels) == "single":
        found = class_weights(counts)[labels]
    else:
        absent, there = tag_weights(counts, len(labels))
        found = np.where(labels, there, absent)
    return found if importance is None else (found.T * importance).T


def tag_weights(counts: np.ndarray, images: int) -> np.ndarray:
    """`(2, k)`, for each tag of images without and with it: both weigh alike, and an image 1 on average."""
    both = np.stack([images - counts, counts])
    return np.where(both.min(axis=0) > 0, images / (2 * np.maximum(both, 1)), 1.0)


@keras.saving.register_keras_serializable(package="attention_keras")
class TagCrossentropy(keras.losses.Loss):
    """Binary cross-entropy of each image, summed over the tags, each of which may have two `weights`.

    The sum, as of one classifier for each tag: then the penalties of a head mean the same for few tags and
    for many.
    """

    def __init__(self, weights=None, label_smoothing: float = 0.0, name="tag_crossentropy"):
        super().__init__(name=name)
        self.weights, self.label_smoothing = weights, label_smoothing

    def call(self, y_true, y_pred):
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        smooth = y_true * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        losses = ops.maximum(y_pred, 0) - y_pred * smooth + ops.softplus(-ops.abs(y_pred))
        if self.weights is not None:
            absent, there = (ops.cast(weight, y_pred.dtype) for weight in self.weights)
            losses = losses * ops.where(y_true > 0.5, there, absent)
        return ops.sum(losses, axis=-1)


def units_of(dataset: ImageDataset) -> tuple[float, float] | None:
    """Mean and deviation of the training images' numbers; None of classes and tags."""
    labels = np.asarray(dataset.train.labels, "float64")
    return (float(labels.mean()), float(labels.std()) or 1.0) if dataset.kind == "number" else None


def scaled(split: Split, mean: float, deviation: float) -> Split:
    """Numbers as they are trained: of mean 0 and deviation 1."""
    return dataclasses.replace(split, labels=((split.labels - mean) / deviation).astype("float32"))


def in_units(model: Classifier, mean: float, deviation: float) -> Classifier:
    """The model that answers in the units of the table, where it was trained on scaled numbers."""
    rescale = keras.layers.Rescaling(deviation, mean, dtype="float32", name="units")
    outputs = {name: tensor for name, tensor in model.output.items() if name != LEVEL_LOGITS}
    return model.like(model.input, outputs | {LOGITS: rescale(outputs[LOGITS])})
