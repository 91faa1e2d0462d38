"""Fitting the class head on features that do not change: seconds, no epochs, no image held out for good.

Five folds give logits of the probe and of class attention for every training image by classifiers that have
not seen it. The probe's penalty and the weights of both parts are those under which these logits are most
likely; then both parts are fitted on all images.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from attention_keras.data.split import kind_of, strata, targets_of
from attention_keras.layers.normalization import variance_of
from attention_keras.models.class_head import ATTENTION_WEIGHT, PENALTY, PROBE_WEIGHT, fit_level_weights
from attention_keras.training.losses import ACTIVATIONS
from attention_keras.training.probe_fit import FOLDS, Linear, fit_probe

STEPS, BATCH, RATE = 300, 64, 3e-3
BYTES = 2**28  # of local features at once


@dataclass(frozen=True)
class Statistics:
    """Of the average of a map over the training images; see Standardize."""

    mean: np.ndarray
    square: np.ndarray
    count: int

    @classmethod
    def of(cls, average: np.ndarray) -> "Statistics":
        return cls(average.mean(axis=0), np.square(average).mean(axis=0), len(average))

    @property
    def deviation(self) -> np.ndarray:
        return np.sqrt(variance_of(self.mean, self.square, np)).astype("float32")

    def standardize(self, features: np.ndarray) -> np.ndarray:
        return (features - self.mean) / self.deviation


@dataclass(frozen=True)
class ClassFit:
    """What a fitted class head computes with, by tap; the probe is of the last one, and `penalty_c` its C."""

    statistics: dict[str, Statistics]
    probe: Linear
    attention: dict[str, Linear]
    weights: np.ndarray
    penalty_c: float

    def logits(self, maps: Mapping[str, np.ndarray]) -> np.ndarray:
        """`(n, k)` of features `(n, h, w, c)` of each tap."""
        *_, top = self.statistics
        found = [self.probe(self.statistics[top].standardize(averages(maps[top])))]
        found += [attended(maps[tap], each, self.statistics[tap]) for tap, each in self.attention.items()]
        return np.einsum("nlk,l->nk", np.stack(found, axis=1), self.weights)


def fit_class_head(
    maps: Mapping, labels: np.ndarray, num_classes: int, *, groups=None, importance=None, seed: int = 0
) -> ClassFit:
    """Fit the class head to features `(n, h, w, c)` of each tap, the deepest last, in memory or on disk.

    Of one tap they may be maps of several sizes, `MapFiles`. Images of one of the `groups` `(n,)` are in one
    fold, and `importance` `(n, 1)`, of tags also `(n, k)`, says how much each counts.
    """
    activation, targets = ACTIVATIONS[kind_of(labels)], targets_of(labels, num_classes)
    importance = np.ones((len(labels), 1)) if importance is None else importance
    folds = assign_folds(strata(labels), groups, seed)
    average = {tap: averages(features) for tap, features in maps.items()}
    statistics = {tap: Statistics.of(values) for tap, values in average.items()}
    *_, top = maps
    x = statistics[top].standardize(average[top])
    probe, penalty_c, unseen = fit_probe(x, labels, num_classes, folds, importance)
    levels, attention = [unseen], {}
    for tap, features in maps.items():
        how = (targets, activation, folds, statistics[tap], seed, importance)
        attention[tap], unseen = fit_attention(features, *how)
        levels.append(unseen)
    weights = np.array([PROBE_WEIGHT] + [ATTENTION_WEIGHT / len(maps)] * len(maps))
    if (held_out := folds >= 0).any():
        weights = fit_level_weights(np.stack(levels, axis=1)[held_out], targets[held_out], activation)
    return ClassFit(statistics, probe, attention, weights, penalty_c)


def assign_folds(labels: np.ndarray, groups: np.ndarray | None, seed: int) -> np.ndarray:
    """The fold `(n,)` of each image, every class spread over all; -1 for the only group of a class."""
    groups = np.arange(len(labels)) if groups is None else groups
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    order = np.random.default_rng([seed, 1])
    folds, given = np.full(len(first), -1), 0
    for label in np.unique(labels):
        members = order.permutation(np.flatnonzero(labels[first] == label))
        if len(members) > 1:
            folds[members] = (given + np.arange(len(members))) % FOLDS
            given += len(members)
    return folds[group]


def fit_attention(features, targets, activation: str, folds, statistics: Statistics, seed: int, importance):
    """Class attention of all images, and logits `(n, k)` for each by one that is blind to its fold."""
    sees = np.stack([folds != fold for fold in range(FOLDS)] + [np.ones(len(targets), bool)])
    *blind, whole = _train(features, targets, activation, sees, importance, statistics, seed)
    unseen = np.zeros(targets.shape, "float32")
    for fold in np.unique(folds[folds >= 0]):
        (rows,) = np.nonzero(folds == fold)
        unseen[rows] = attended(features, blind[fold], statistics, rows)
    return whole, unseen


def _train(features, targets, activation: str, sees, importance, statistics: Statistics, seed: int):
    """A classifier for each row of `sees` `(heads, n)`, which counts the images that it sees."""
    heads, channels, num_classes = len(sees), features.shape[-1], targets.shape[1]
    answers = {"softmax": softmax, "sigmoid": lambda x, axis: expit(x), "linear": lambda x, axis: x}
    mean, deviation = statistics.mean, statistics.deviation[:, None]
    kernel = np.zeros((channels, heads * num_classes), "float32")
    bias = np.zeros((heads, num_classes), "float32")
    adam = [Adam(kernel), Adam(bias)]
    for step, rows in enumerate(batches_of(len(targets), seed)):
        rows = np.sort(rows)  # features on disk are read in order
        share = sees[:, rows].T / np.maximum(sees[:, rows].sum(axis=1, dtype="float32"), 1)
        weight = share[..., None] * importance[rows][:, None].astype("float32")
        by_kernel, by_bias = 2 * PENALTY * kernel, np.zeros_like(bias)
        for part in _slices(features, len(rows)):  # of large images, a few at once
            x = features[rows[part]].astype("float32", copy=False).reshape(-1, channels)
            scaled = kernel / deviation
            local = (x @ scaled - mean @ scaled).reshape(len(rows[part]), -1, heads, num_classes)
            attention = _attention(local, features, rows[part])
            core = (attention * local).sum(axis=1)
            error = answers[activation](core + bias, axis=-1) - targets[rows[part]][:, None]
            slope = error * weight[part]
            by_local = (slope[:, None] * attention * (1 + local - core[:, None])).reshape(len(x), -1)
            by_kernel += (x.T @ by_local - np.outer(mean, by_local.sum(axis=0))) / deviation
            by_bias += slope.sum(axis=0)
        rate = RATE * (1 + math.cos(math.pi * step / STEPS)) / 2
        adam[0](kernel, by_kernel, rate)
        adam[1](bias, by_bias, rate)
    kernels = kernel.reshape(channels, heads, num_classes).transpose(1, 0, 2)
    return [Linear(*head) for head in zip(kernels, bias)]


def batches_of(count: int, seed: int) -> Iterator[np.ndarray]:
    """Rows of each step, every image once before any comes again."""
    random, waiting = np.random.default_rng([seed, 2]), np.empty(0, int)
    for _ in range(STEPS):
        while len(waiting) < min(BATCH, count):
            waiting = np.concatenate([waiting, random.permutation(count)])
        yield waiting[:BATCH]
        waiting = waiting[BATCH:]


class Adam:
    def __init__(self, variable: np.ndarray):
        self.first, self.second, self.count = np.zeros_like(variable), np.zeros_like(variable), 0

    def __call__(self, variable: np.ndarray, slope: np.ndarray, rate: float) -> None:
        self.count += 1
        self.first += 0.1 * (slope - self.first)
        self.second += 0.001 * (np.square(slope) - self.second)
        first, second = self.first / (1 - 0.9**self.count), self.second / (1 - 0.999**self.count)
        variable -= rate * first / (np.sqrt(second) + 1e-7)


def averages(features: np.ndarray) -> np.ndarray:
    """`(n, c)` float32, of the valid places."""
    parts = []
    for rows in _slices(features):
        average = features[rows].mean(axis=(1, 2), dtype="float32")
        if hasattr(features, "valid"):
            average /= features.valid(rows).mean(axis=1, keepdims=True, dtype="float32")
        parts.append(average)
    return np.concatenate(parts)


def attended(features: np.ndarray, classifier: Linear, statistics: Statistics, rows=None) -> np.ndarray:
    """The logits `(n, k)` of class attention."""
    found = []
    rows = np.arange(len(features)) if rows is None else rows
    for part in _slices(features, len(rows)):
        local = classifier(statistics.standardize(features[rows[part]].astype("float32", copy=False)))
        local = local.reshape(len(local), -1, local.shape[-1])
        found.append((_attention(local, features, rows[part]) * local).sum(axis=1))
    return np.concatenate(found)


def _attention(local: np.ndarray, features, rows) -> np.ndarray:
    """Softmax over the places of `(b, n, ...)`; of maps of several sizes, over those that are no padding."""
    if hasattr(features, "valid"):
        valid = np.expand_dims(features.valid(rows), tuple(range(2, local.ndim)))
        local = np.where(valid, local, -1e9)
    return softmax(local, axis=1)


def _slices(features: np.ndarray, count: int | None = None) -> list[slice]:
    step = max(1, BYTES // (4 * int(np.prod(features.shape[1:]))))
    return [slice(start, start + step) for start in range(0, count or len(features), step)]
