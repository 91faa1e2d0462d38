"""One number that makes a classifier as sure of itself as it is right: the temperature of its softmax."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

COLDEST, HOTTEST = 0.05, 20.0


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T for which softmax(logits / T) gives the labels the highest likelihood (Guo et al. 2017).

    It changes no prediction, only how sure the network is. Networks that were trained for long are too sure
    of themselves, which a T above 1 mends. A T below 1 makes the network surer than it is by itself. Where
    all of a few images are right, every smaller T is more likely. So T goes below 1 only as far as the number
    of images allows: n of them cannot show that more than (n + 1) / (n + 2) of all answers are right, and
    the strongest other class gets the rest of the likelihood (Platt 1999, for two classes).

    `logits` `(n, k)` and `labels` `(n,)` are of images that nothing was trained on; without any, T is 1.

    Example:
        >>> logits = np.array([[4.0, 0.0]] * 4)  # 98 % sure, and right three times in four
        >>> round(fit_temperature(logits, np.array([0, 0, 0, 1])), 2)
        3.64
    """
    if not len(labels):
        return 1.0
    likeliest = _likeliest(logits, labels, doubt=0.0)
    if likeliest >= 1:
        return likeliest
    return min(1.0, _likeliest(logits, labels, doubt=1 / (len(labels) + 2)))


def _likeliest(logits: np.ndarray, labels: np.ndarray, doubt: float) -> float:
    """The T of the highest likelihood, of which the strongest other class has the share `doubt`."""
    logits = np.asarray(logits, "float64")
    rows = np.arange(len(labels))
    others = logits.copy()
    others[rows, labels] = -np.inf
    rivals = others.argmax(axis=-1)

    def surprise(log_temperature: float) -> float:
        """Mean negative log-likelihood."""
        chances = log_softmax(logits / np.exp(log_temperature), axis=-1)
        return -float((1 - doubt) * chances[rows, labels].mean() + doubt * chances[rows, rivals].mean())

    found = minimize_scalar(
        surprise, bounds=np.log([COLDEST, HOTTEST]), method="bounded", options={"xatol": 1e-6}
    )
    return float(np.exp(found.x))
