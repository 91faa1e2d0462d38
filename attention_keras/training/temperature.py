"""One number that makes a classifier as sure of itself as it is right: the temperature of its softmax."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

COLDEST, HOTTEST = 0.05, 20.0


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T for which softmax(logits / T) gives the labels the highest likelihood (Guo et al. 2017).

    It changes no prediction, only how sure the network is. Networks that were trained for long are too sure
    of themselves, which a T above 1 mends.

    Args:
        logits: `(n, k)`, of images that nothing was trained on.
        labels: `(n,)`.

    Returns:
        T from 0.05 to 20; 1.0 without images.

    Example:
        >>> logits = np.array([[4.0, 0.0]] * 4)  # 98 % sure, and right three times in four
        >>> round(fit_temperature(logits, np.array([0, 0, 0, 1])), 2)
        3.64
    """
    if not len(labels):
        return 1.0
    logits = np.asarray(logits, "float64")
    rows = np.arange(len(labels))

    def surprise(log_temperature: float) -> float:
        """Mean negative log-likelihood."""
        return -float(log_softmax(logits / np.exp(log_temperature), axis=-1)[rows, labels].mean())

    found = minimize_scalar(
        surprise, bounds=np.log([COLDEST, HOTTEST]), method="bounded", options={"xatol": 1e-6}
    )
    return float(np.exp(found.x))
