"""One learned query for all classes: what class attention is compared with."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from attention_keras.models.class_head import fit_level_weights
from attention_keras.training import class_fit
from attention_keras.training.class_fit import Linear, Statistics, fit_probe

CHUNK = 64


@dataclass(frozen=True)
class QueryHead:
    """One learned query q for all classes, beside the probe, trained and weighed as class attention is.

    The descriptor is d = sum over i of a_i x_i, with a = softmax over the places of <x_i, q>.
    """

    statistics: Statistics
    probe: Linear
    query: np.ndarray
    classifier: Linear
    weights: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """`(n, k)` of features `(n, h, w, c)`."""
        probe = self.probe(self.statistics.standardize(features.mean(axis=(1, 2))))
        attended = self.classifier(_descriptors(features, self.statistics, self.query))
        return self.weights[0] * probe + self.weights[1] * attended


def _descriptors(features: np.ndarray, statistics: Statistics, query: np.ndarray) -> np.ndarray:
    found = []
    for start in range(0, len(features), CHUNK):
        x = features[start : start + CHUNK].reshape(-1, math.prod(features.shape[1:3]), features.shape[-1])
        attention = softmax(x @ (query / statistics.deviation), 1)
        found.append(statistics.standardize((attention[:, None] @ x)[:, 0]))
    return np.concatenate(found)


def fit_query(
    features: np.ndarray, labels: np.ndarray, num_classes: int, groups: np.ndarray | None, seed: int
) -> QueryHead:
    """As `fit_class_head`: the heads of the folds and of all images are trained side by side."""
    folds = class_fit.assign_folds(labels, groups, seed)
    average = features.mean(axis=(1, 2))
    statistics = Statistics.of(average)
    probe, _, unseen = fit_probe(statistics.standardize(average), labels, num_classes, folds)
    targets = np.eye(num_classes, dtype="float32")[labels]
    sees = np.stack([folds != fold for fold in range(class_fit.FOLDS)] + [np.ones(len(labels), bool)])
    query, kernel, bias = _train(features, targets, sees.astype("float32"), statistics, seed)
    attended = np.zeros_like(unseen)
    for fold in range(class_fit.FOLDS):
        rows = np.flatnonzero(folds == fold)
        attended[rows] = _descriptors(features[rows], statistics, query[fold]) @ kernel[fold] + bias[fold, 0]
    weights = fit_level_weights(np.stack([unseen, attended], 1), targets)
    return QueryHead(statistics, probe, query[-1], Linear(kernel[-1], bias[-1, 0]), weights)


def _train(features, targets, sees: np.ndarray, statistics: Statistics, seed: int):
    """Queries `(heads, c)`, kernels `(heads, c, k)` and biases `(heads, 1, k)`.

    A softmax over places does not see what they all share, so scores and their slopes need no mean.
    """
    heads, channels, deviation = len(sees), features.shape[-1], statistics.deviation
    shapes = ((heads, channels), (heads, channels, targets.shape[1]), (heads, 1, targets.shape[1]))
    query, kernel, bias = variables = [np.zeros(shape, "float32") for shape in shapes]
    adams = [class_fit.Adam(variable) for variable in variables]
    for step, rows in enumerate(class_fit.batches_of(len(targets), seed)):
        x = features[rows].reshape(len(rows), -1, channels)
        attention = softmax(x @ (query / deviation).T, 1)  # (b, n, heads)
        pooled = statistics.standardize(attention.transpose(0, 2, 1) @ x).transpose(1, 0, 2)
        weight = sees[:, rows] / np.maximum(sees[:, rows].sum(axis=1, keepdims=True), 1)
        slope = (softmax(pooled @ kernel + bias, 2) - targets[rows]) * weight[..., None]
        worth = x @ ((slope @ kernel.transpose(0, 2, 1)) / deviation).transpose(1, 2, 0)
        by_score = attention * (worth - (attention * worth).sum(axis=1, keepdims=True))
        by_query = by_score.reshape(-1, heads).T @ x.reshape(-1, channels) / deviation
        by_kernel = pooled.transpose(0, 2, 1) @ slope + 2 * class_fit.PENALTY * kernel
        rate = class_fit.RATE * (1 + math.cos(math.pi * step / class_fit.STEPS)) / 2
        for adam, variable, by in zip(
            adams, variables, (by_query, by_kernel, slope.sum(axis=1, keepdims=True))
        ):
            adam(variable, by, rate)
    return variables
