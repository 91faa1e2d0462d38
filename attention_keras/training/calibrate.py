"""The end of a run: calibrated on the validation images, tested on the test images, in numbers."""

from typing import Any

import keras
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from attention_keras.models.compute import count_macs, count_parameters
from attention_keras.runs import provenance
from attention_keras.runs.config import RunConfig
from attention_keras.training.callbacks import History

COLDEST, HOTTEST = 0.05, 20.0


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T for which softmax(logits / T) gives the labels the highest likelihood (Guo et al. 2017).

    `logits` `(n, k)` and `labels` `(n,)` are of images that nothing was trained on; without any, T is 1.
    Where all of a few images are right, every smaller T is likelier. So a T below 1 takes into account that
    n images cannot show more than (n + 1) / (n + 2) of all answers to be right (Platt 1999, for two classes).
    """
    if not len(labels):
        return 1.0
    likeliest = _likeliest(logits, labels, doubt=0.0)
    if likeliest >= 1:
        return likeliest
    return min(1.0, _likeliest(logits, labels, doubt=1 / (len(labels) + 2)))


def _likeliest(logits: np.ndarray, labels: np.ndarray, doubt: float) -> float:
    """The T of the highest likelihood where the label is right but for the share `doubt`.

    The strongest other class has that share.
    """
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


def final_metrics(
    config: RunConfig, model: keras.Model, history: History, correct: np.ndarray, seconds: float
) -> dict[str, Any]:
    """What `metrics.json` holds; `correct` `(n,)` says which test images were."""
    last = history.records[-1]
    tested = history.best if config.patience else last
    accuracy = float(correct.mean())
    return {
        "test_error": 1 - accuracy,
        "test_accuracy": accuracy,
        "test_images": len(correct),
        "validation_error": 1 - tested["val_accuracy"],
        "best_validation_error": 1 - history.best["val_accuracy"],
        "parameters": count_parameters(model),
        "macs": count_macs(model),
        "images_per_second": float(np.median([record["images_per_second"] for record in history.records])),
        "epochs": last["epoch"],
        "tested_epoch": tested["epoch"],
        "steps": last["step"],
        "images_seen": last["images_seen"],
        "seconds": seconds,
        "precision": config.precision,
        "hardware": provenance.hardware(),
        "versions": provenance.library_versions(),
        "commit": provenance.commit(),
    }
