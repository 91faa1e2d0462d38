"""The head for a trained backbone: class attention beside a linear probe, and how much each counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
from keras import layers, ops

from attention_keras.errors import UserError
from attention_keras.layers.attention_pool import ClassAttention
from attention_keras.layers.ensemble import PredictedClass, WeightedLevels
from attention_keras.layers.normalization import Standardize
from attention_keras.models.blocks import POOL
from attention_keras.models.outputs import ATTENTION, LEVEL_LOGITS, LOGITS

PROBE, WEIGHTS, LOCAL, SCORES = "probe", "level_weights", "local_", "scores_"
PREDICTED = "attending_class"
PROBE_WEIGHT, ATTENTION_WEIGHT = 1.0, 0.1  # until held-out images say better
SMALLEST_WEIGHT = 1e-3  # weights are positive, so that no classifier's maps vanish or turn over
PENALTY = 0.05  # of the squared weights of each classifier
BATCH = 32


@dataclass(frozen=True)
class ClassHead:
    """A linear probe of the averaged top, and attention of each class with its own classifier row.

        x_i     = (l_i - mean) / deviation             of the averaged map (Standardize)
        m_k     = mean over i of <x_i, v_k> + c_k      the probe
        s_ik    = <x_i, w_k> + b_k                     what place i says for class k by itself
        t_k     = sum over i of a_ik s_ik              a = softmax over the places of s (ClassAttention)
        logit_k = alpha m_k + gamma t_k                (WeightedLevels)

    The average is hard to beat where an object fills the frame, and class attention where it is small. So
    both are trained, each with a loss of its own, and held-out images decide how much each counts:
    `Classifier.weigh`, which `fit(validation_data=...)` calls. Until then alpha is 1 and gamma 0.1: no worse
    than the probe, but half of the gain with small objects (docs/results.md). With several taps each has
    class attention and a weight of its own; the probe reads the last, deepest one.

    The evidence of place i for class k is `alpha <x_i, v_k> / n + gamma a_ik s_ik`. All weights start at
    zero, so that attention starts uniform. Sources: see `ClassAttention`.

    Args:
        penalty: times the squared weights of each classifier is added to the loss.

    Example:
        >>> ClassHead().penalty
        0.05
    """

    penalty: float = PENALTY
    levels: ClassVar[int] = 1
    global_features: ClassVar[None] = None

    def __post_init__(self):
        if not self.penalty >= 0:
            raise UserError(f"penalty must be 0 or more; got {self.penalty!r}")

    def __call__(self, local, g, num_classes: int) -> dict[str, Any]:
        maps = {tap: Standardize(name=f"{LOCAL}{tap}")(features) for tap, features in local.items()}
        top = list(maps)[-1]
        # By this name, evidence of the average and of attention is one map.
        pool = layers.GlobalAveragePooling2D(data_format="channels_last", name=f"{POOL}{top}_average")
        each, attention = [self._classifier(PROBE, num_classes)(pool(maps[top]))], {}
        for tap, features in maps.items():
            scores = self._classifier(f"{SCORES}{tap}", num_classes)(features)
            logits, attention[tap] = ClassAttention(name=f"{POOL}{tap}")(scores)
            each.append(logits)
        start = [PROBE_WEIGHT] + [ATTENTION_WEIGHT / len(maps)] * len(maps)
        level_logits, logits = WeightedLevels(start, name=WEIGHTS)(each)
        predicted = PredictedClass(name=PREDICTED)(logits)
        chosen = ops.one_hot(predicted, num_classes, dtype="float32")[:, None, None]
        of_predicted = {ATTENTION + tap: ops.sum(a * chosen, axis=-1) for tap, a in attention.items()}
        return {LOGITS: logits, LEVEL_LOGITS: level_logits, **of_predicted}

    def _classifier(self, name: str, num_classes: int) -> keras.layers.Dense:
        penalty = keras.regularizers.L2(self.penalty)
        return layers.Dense(
            num_classes, kernel_initializer="zeros", kernel_regularizer=penalty, dtype="float32", name=name
        )


def find_weighted_levels(model: keras.Model) -> WeightedLevels | None:
    """The layer with the weights, of a model that has one."""
    return next((layer for layer in model.layers if isinstance(layer, WeightedLevels)), None)


def weigh_levels(model: keras.Model, x, y, activation: str) -> list[float]:
    """Set the weights of a model by images and labels; see `Classifier.weigh`."""
    layer = find_weighted_levels(model)
    if layer is None:
        raise UserError(f"{model.name} has nothing to weigh; weigh() is for models with head='class'")
    batches = (x[i] for i in range(len(x))) if isinstance(x, keras.utils.PyDataset) else x
    if y is not None:
        batches = ((x[start : start + BATCH], y[start : start + BATCH]) for start in range(0, len(y), BATCH))
    level_logits, targets = [], []
    for images, labels, *_ in batches:
        labels = ops.convert_to_numpy(labels[LOGITS] if isinstance(labels, Mapping) else labels)
        # Each replica of a strategy answers for the whole batch, one after the other.
        found = model.predict_on_batch(images)[LEVEL_LOGITS][: len(labels)]
        classes = found.shape[-1]
        if classes > 1 and labels.size == len(labels):
            labels = np.eye(classes)[labels.reshape(-1).astype(int)]
        level_logits.append(found)
        targets.append(labels.reshape(-1, classes))
    weights = fit_level_weights(np.concatenate(level_logits), np.concatenate(targets), activation)
    layer.weight.assign(weights.astype("float32"))
    return [float(weight) for weight in weights]


def fit_level_weights(
    level_logits: np.ndarray, targets: np.ndarray, activation: str = "softmax"
) -> np.ndarray:
    """The positive weights `(L,)` under which `sum of w_l level_logits_l` is most likely (projected Newton).

    `level_logits` `(n, L, k)` are of images that no classifier was trained on, `targets` `(n, k)` their
    classes; with a `sigmoid` these are independent, and numbers, `linear`, have a normal error.
    """
    levels, targets = level_logits.astype("float64"), targets.astype("float64")
    weights = np.full(levels.shape[1], 1 / levels.shape[1])
    loss, slope, curvature = _likelihood(levels, targets, weights, activation)
    for _ in range(100):
        free = (weights > SMALLEST_WEIGHT) | (slope < 0)
        step = np.zeros_like(weights)
        step[free] = -np.linalg.solve(curvature[np.ix_(free, free)], slope[free])
        for size in 0.5 ** np.arange(20):
            new = np.maximum(weights + size * step, SMALLEST_WEIGHT)
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
    """Mean negative log-likelihood, but for a constant, and its first and second derivatives by the weights:
    those of a sum of `normal(logits) - targets * logits`."""
    logits, spread = np.einsum("nlk,l->nk", levels, weights), levels
    if activation == "linear":
        normal, expected, density = np.square(logits) / 2, logits, np.ones_like(logits)
    elif activation == "sigmoid":
        normal = np.logaddexp(0, logits)
        expected = np.exp(logits - normal)
        density = expected * (1 - expected)
    else:
        normal = np.logaddexp.reduce(logits, axis=1, keepdims=True)
        density = expected = np.exp(logits - normal)
        spread = levels - np.einsum("nlk,nk->nl", levels, expected)[..., None]
    slope = np.einsum("nlk,nk->l", levels, expected - targets)
    curvature = np.einsum("nlk,nmk,nk->lm", spread, spread, density)
    count, floor = len(levels), 1e-9 * np.eye(len(weights))
    return (normal.sum() - (targets * logits).sum()) / count, slope / count, curvature / count + floor
