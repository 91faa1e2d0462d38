"""The linear probe of a class head: scikit-learn's regressions on averaged features, the penalty by folds."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import log_softmax

from attention_keras.data.labels import kind_of, targets_of
from attention_keras.errors import needs

FOLDS = 5
RARE = 6.0  # the logit of a tag that all images have that a classifier saw
PROBE_C = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1)  # scikit-learn's: one over the penalty of the squared weights


@dataclass(frozen=True)
class Linear:
    """A classifier of a standardised map: what `Dense` is made of."""

    kernel: np.ndarray
    bias: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x @ self.kernel + self.bias


def fit_probe(x, labels: np.ndarray, num_classes: int, folds: np.ndarray, importance=None):
    """The probe of all images, its C, and for each image the logits `(n, k)` of one that has not seen it."""
    with needs("fitting a linear probe", extra="train"):
        from sklearn.linear_model import LogisticRegression, Ridge
        from threadpoolctl import threadpool_limits

    kind, targets = kind_of(labels), targets_of(labels, num_classes)
    # Each goes on from the C before, which halves the work. Of tags each has a regression of its own.
    make = Ridge if kind == "number" else partial(LogisticRegression, max_iter=1000, warm_start=True)
    columns = labels.T if kind == "multi" else labels[None]
    counts = [None] * len(columns)
    if importance is not None:
        counts = np.broadcast_to(importance.T, (len(columns), len(labels)))
    paths = [[make() for _ in columns] for _ in range(FOLDS + 1)]

    def fit_column(path, column, rows, count, c: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Numbers of the classes, their kernels `(c, classes)` and biases."""
        seen, count = column[rows], None if count is None else count[rows]
        if kind == "number":
            found = path.set_params(alpha=1 / c).fit(x[rows], seen, count)
            return np.zeros(1, int), found.coef_[:, None], np.array([found.intercept_])
        if len(np.unique(seen)) == 1:
            return seen[:1].astype(int), np.zeros((x.shape[1], 1)), np.zeros(1)
        found = path.set_params(C=c).fit(x[rows], seen, count)
        kernel, bias = found.coef_.T, found.intercept_
        if len(found.classes_) == 2:
            kernel, bias = kernel * [-0.5, 0.5], bias * [-0.5, 0.5]
        return found.classes_.astype(int), kernel, bias

    def fit(fold: int, c: float) -> Linear:
        whole = Linear(np.zeros((x.shape[1], num_classes), "float32"), np.zeros(num_classes, "float32"))
        for tag, (path, column, count) in enumerate(zip(paths[fold], columns, counts)):
            classes, kernel, bias = fit_column(path, column, folds != fold, count, c)
            if kind == "multi":
                # What no image, or every image, has is as unlikely, or as likely, as that.
                whole.kernel[:, tag] = kernel[:, -1] - kernel[:, 0]
                whole.bias[tag] = bias[-1] - bias[0] if len(classes) > 1 else RARE * (2 * classes[0] - 1)
            else:  # a class without images is a class that nothing speaks for
                whole.bias[:] = bias.min() - 10
                whole.kernel[:, classes], whole.bias[classes] = kernel, bias
        return whole

    held_out = folds >= 0
    best_loss, best_c, best_logits = np.inf, PROBE_C[2], np.zeros((len(x), num_classes), "float32")
    # The problems are small: several threads for each product only wait for each other.
    with threadpool_limits(1):
        for c in PROBE_C if held_out.any() else ():
            logits = np.zeros((len(x), num_classes), "float32")
            for fold in np.unique(folds[held_out]):
                logits[folds == fold] = fit(fold, c)(x[folds == fold])
            loss = _losses(logits, targets, kind)[held_out].mean()
            if loss >= best_loss:
                break  # the likelihood has one maximum along the path
            best_loss, best_c, best_logits = loss, c, logits
        return fit(FOLDS, best_c), best_c, best_logits


def _losses(logits: np.ndarray, targets: np.ndarray, kind: str) -> np.ndarray:
    if kind == "number":
        return np.square(logits - targets).sum(axis=1)
    if kind == "single":
        return -(targets * log_softmax(logits, axis=-1)).sum(axis=1)
    return (np.logaddexp(0, logits) - targets * logits).sum(axis=1)
