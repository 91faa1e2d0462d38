"""The linear probe of a class head: scikit-learn's regressions on averaged features, the penalty by folds."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import log_softmax

from attention_keras.data.split import kind_of, targets_of
from attention_keras.errors import needs

FOLDS = 5
RARE = 6.0  # the logit of a tag that all images have that a classifier saw
PROBE_C = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1)  # scikit-learn's: one over the penalty of the squared weights
LOSSES = {
    "single": lambda logits, targets: -targets * log_softmax(logits, axis=-1),
    "multi": lambda logits, targets: np.logaddexp(0, logits) - targets * logits,
    "number": lambda logits, targets: np.square(logits - targets),
}


@dataclass(frozen=True)
class Linear:
    """A classifier of a standardised map: what `Dense` is made of."""

    kernel: np.ndarray
    bias: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x @ self.kernel + self.bias


def fit_probe(x, labels: np.ndarray, num_classes: int, folds: np.ndarray, importance=1.0):
    """The probe of all images, its C, and for each image the logits `(n, k)` of one that has not seen it."""
    with needs("fitting a linear probe", extra="train"):
        from sklearn.linear_model import LogisticRegression, Ridge
        from threadpoolctl import threadpool_limits

    kind, targets = kind_of(labels), targets_of(labels, num_classes)
    # Each goes on from the C before, which halves the work. Of tags each has a regression of its own.
    columns = labels.T if kind == "multi" else labels[None]
    counts = np.broadcast_to(np.transpose(importance), (len(columns), len(labels)))
    make = partial(LogisticRegression, max_iter=1000, warm_start=True)
    regressions = [[make() for _ in columns] for _ in range(FOLDS + 1)]

    def fit(fold: int, c: float) -> Linear:
        kernel, bias = np.zeros((x.shape[1], num_classes), "float32"), np.zeros(num_classes, "float32")
        seen = folds != fold
        for tag, (regression, column, count) in enumerate(zip(regressions[fold], columns, counts)):
            classes, about = np.unique(column[seen]), (x[seen], column[seen], count[seen])
            if kind == "number":
                found = Ridge(alpha=1 / c).fit(*about)
                kernel[:, 0], bias[0] = found.coef_, found.intercept_
            elif kind == "multi" and len(classes) == 1:
                # What no image, or every image, has is as unlikely, or as likely, as that.
                bias[tag] = RARE * (2 * int(classes[0]) - 1)
            elif kind == "multi":
                found = regression.set_params(C=c).fit(*about)
                kernel[:, tag], bias[tag] = found.coef_[0], found.intercept_[0]
            elif len(classes) == 1:
                bias[:] = np.where(np.arange(num_classes) == classes[0], 0, -10)
            else:
                found = regression.set_params(C=c).fit(*about)
                share = np.array([-0.5, 0.5]) if len(classes) == 2 else 1  # of two it has one row
                bias[:] = (share * found.intercept_).min() - 10  # nothing speaks for a class without images
                kernel[:, classes], bias[classes] = share * found.coef_.T, share * found.intercept_
        return Linear(kernel, bias)

    held_out = folds >= 0
    best_loss, best_c, best_logits = np.inf, PROBE_C[2], np.zeros((len(x), num_classes), "float32")
    # The problems are small: several threads for each product only wait for each other.
    with threadpool_limits(1):
        for c in PROBE_C if held_out.any() else ():
            logits = np.zeros((len(x), num_classes), "float32")
            for fold in np.unique(folds[held_out]):
                logits[folds == fold] = fit(fold, c)(x[folds == fold])
            loss = LOSSES[kind](logits, targets)[held_out].sum(axis=1).mean()
            if loss >= best_loss:
                break  # the likelihood has one maximum along the path
            best_loss, best_c, best_logits = loss, c, logits
        return fit(FOLDS, best_c), best_c, best_logits
