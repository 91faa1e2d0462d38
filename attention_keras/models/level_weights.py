"""How much each of several classifiers counts: weights by the likelihood of images that none has seen."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from attention_keras.errors import UserError
from attention_keras.layers.ensemble import WeightedLevels
from attention_keras.models.outputs import LEVEL_LOGITS, LOGITS

SMALLEST = 1e-3  # weights are positive, so that no classifier's maps vanish or turn over
BATCH = 32


def find_weighted_levels(model: keras.Model) -> WeightedLevels | None:
    """The layer with the weights, of a model that has one."""
    return next((layer for layer in model.layers if isinstance(layer, WeightedLevels)), None)


def weigh_levels(model: keras.Model, x, y, activation: str) -> list[float]:
    """Set the weights of a model by images and labels; see `Classifier.weigh`."""
    layer = find_weighted_levels(model)
    if layer is None:
        raise UserError(f"{model.name} has nothing to weigh; weigh() is for models with head='class'")
    level_logits, targets = [], []
    for images, labels in _batches(x, y):
        # Each replica of a strategy answers for the whole batch, one after the other.
        found = model.predict_on_batch(images)[LEVEL_LOGITS][: len(labels)]
        level_logits.append(found)
        targets.append(_targets(labels, found.shape[-1]))
    weights = fit_level_weights(np.concatenate(level_logits), np.concatenate(targets), activation)
    layer.weight.assign(weights.astype("float32"))
    return [float(weight) for weight in weights]


def _batches(x, y) -> Iterator[tuple[Any, Any]]:
    """Images and labels: of arrays, of a `PyDataset`, or of anything that gives batches."""
    if y is not None:
        batches = ((x[start : start + BATCH], y[start : start + BATCH]) for start in range(0, len(y), BATCH))
    else:
        batches = (x[i] for i in range(len(x))) if isinstance(x, keras.utils.PyDataset) else x
    for images, labels, *_ in batches:
        yield images, labels[LOGITS] if isinstance(labels, Mapping) else labels


def _targets(labels, num_classes: int) -> np.ndarray:
    """Labels in any form that a loss takes, as `(n, k)`."""
    labels = keras.ops.convert_to_numpy(labels)
    if num_classes > 1 and (labels.ndim == 1 or labels.shape[1] == 1):
        return np.eye(num_classes)[labels.reshape(-1).astype(int)]
    return labels.reshape(len(labels), num_classes)


def fit_level_weights(
    level_logits: np.ndarray, targets: np.ndarray, activation: str = "softmax"
) -> np.ndarray:
    """The positive weights `(L,)` under which `sum of w_l level_logits_l` is most likely.

    `level_logits` `(n, L, k)` are of images that no classifier was trained on, `targets` `(n, k)` their
    classes; with a `sigmoid` these are independent, and numbers, `linear`, have a normal error. The
    likelihood is concave in the weights, and a class counts as any other, so projected Newton steps find its
    maximum.
    """
    levels, targets = level_logits.astype("float64"), targets.astype("float64")
    weights = np.full(levels.shape[1], 1 / levels.shape[1])
    loss, slope, curvature = _likelihood(levels, targets, weights, activation)
    for _ in range(100):
        free = (weights > SMALLEST) | (slope < 0)
        step = np.zeros_like(weights)
        step[free] = -np.linalg.solve(curvature[np.ix_(free, free)], slope[free])
        for size in 0.5 ** np.arange(20):
            new = np.maximum(weights + size * step, SMALLEST)
            found = _likelihood(levels, targets, new, activation)
            if found[0] <= loss:
                break
        else:
            return weights
        change = np.abs(new - weights).max()
        weights, (loss, slope, curvature) = new, found
        if change < 1e-8:
            break
    return weights


def _likelihood(levels, targets, weights, activation: str):
    """Mean negative log-likelihood, and its first and second derivatives by the weights."""
    logits, spread = np.einsum("nlk,l->nk", levels, weights), levels
    if activation == "linear":
        losses, probabilities = np.square(logits - targets) / 2, logits
        density = np.ones_like(logits)
    elif activation == "sigmoid":
        losses = np.logaddexp(0, logits) - targets * logits
        probabilities = np.exp(-np.logaddexp(0, -logits))
        density = probabilities * (1 - probabilities)
    else:
        normal = np.logaddexp.reduce(logits, axis=1, keepdims=True)
        losses = targets * (normal - logits)
        density = probabilities = np.exp(logits - normal)
        spread = levels - np.einsum("nlk,nk->nl", levels, probabilities)[..., None]
    slope = np.einsum("nlk,nk->l", levels, probabilities - targets) / len(levels)
    curvature = np.einsum("nlk,nmk,nk->lm", spread, spread, density) / len(levels)
    return losses.sum() / len(levels), slope, curvature + 1e-9 * np.eye(len(weights))
