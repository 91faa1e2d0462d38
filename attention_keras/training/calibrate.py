"""The end of a run: calibrated on the validation images, tested on the test images, in numbers."""

from typing import Any

import keras
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax
from sklearn.metrics import precision_recall_curve

from attention_keras.data.split import kind_of
from attention_keras.measures.answers import score_numbers, score_tags
from attention_keras.models.parts import count_macs, count_parameters
from attention_keras.runs import provenance
from attention_keras.runs.config import RunConfig
from attention_keras.training.callbacks import History

COLDEST, HOTTEST = 0.05, 20.0


def calibrate(logits: np.ndarray, labels: np.ndarray) -> tuple[float | list[float], list[float] | None]:
    """The temperature of classes; of every tag one, and the threshold of the highest F1; 1 of numbers."""
    kind = kind_of(labels)
    if kind == "number":
        return 1.0, None
    if kind == "single":
        return fit_temperature(logits, labels), None
    found = [_of_tag(column, there) for column, there in zip(logits.T.astype("float64"), labels.T)]
    temperatures, thresholds = zip(*found)
    return list(temperatures), list(thresholds)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T for which softmax(logits / T) gives the labels the highest likelihood (Guo et al. 2017).

    Where all of a few images are right, every smaller T is likelier. So a T below 1 takes into account that
    n images cannot show more than (n + 1) / (n + 2) of all answers to be right (Platt 1999, for two classes).
    """
    if not len(labels):
        return 1.0
    logits, rows = np.asarray(logits, "float64"), np.arange(len(labels))
    is_label = np.arange(logits.shape[1]) == np.asarray(labels)[:, None]
    rivals = np.where(is_label, -np.inf, logits).argmax(axis=-1)

    def likeliest(doubt: float) -> float:
        """If the label is right but for the share `doubt` of the next class."""

        def surprise(log_temperature: float) -> float:
            chances = log_softmax(logits / np.exp(log_temperature), axis=-1)
            return -float((1 - doubt) * chances[rows, labels].mean() + doubt * chances[rows, rivals].mean())

        bounds = np.log([COLDEST, HOTTEST])
        return float(np.exp(minimize_scalar(surprise, bounds=bounds, options={"xatol": 1e-6}).x))

    found = likeliest(0.0)
    return found if found >= 1 else min(1.0, likeliest(1 / (len(labels) + 2)))


def _of_tag(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """A sigmoid is a softmax beside a logit of 0. A tag that all images have, or none, keeps 1 and 0.5."""
    if len(np.unique(labels)) < 2:
        return 1.0, 0.5
    temperature = fit_temperature(np.stack([np.zeros(len(logits)), logits], axis=1), labels.astype(int))
    chances = expit(logits / temperature)
    precision, recall, least = precision_recall_curve(labels, chances)
    best = int((2 * precision * recall / np.maximum(precision + recall, 1e-12))[:-1].argmax())
    below = chances[chances < least[best]].max(initial=0.0)
    return temperature, float((least[best] + below) / 2)


def test_scores(answers: np.ndarray, labels: np.ndarray, thresholds: list[float] | None) -> dict[str, Any]:
    """Of `(n, k)`: error of classes; macro mAP and F1 of tags; R2 and mean absolute error of numbers."""
    kind, scores = kind_of(labels), {"test_images": len(labels)}
    if kind == "multi":
        tags = score_tags(answers, labels, thresholds)
        return {"test_mAP": tags.mean_ap, "test_F1": tags.mean_f1} | scores
    if kind == "number":
        r2, error = score_numbers(answers[:, 0], labels)
        return {"test_R2": r2, "test_MAE": error} | scores
    accuracy = float(np.mean(answers.argmax(axis=-1) == labels))
    return {"test_error": 1 - accuracy, "test_accuracy": accuracy} | scores


def final_metrics(config: RunConfig, model: keras.Model, history: History) -> dict[str, Any]:
    """What `metrics.json` holds beside the scores of the test images."""
    last, measure = history.records[-1], history.measure
    tested = history.best if config.patience else last
    values = {"validation": tested[f"val_{measure}"], "best_validation": history.best[f"val_{measure}"]}
    if measure == "accuracy":
        measure, values = "error", {when: 1 - value for when, value in values.items()}
    return {
        **{f"{when}_{measure}": value for when, value in values.items()},
        "parameters": count_parameters(model),
        "macs": count_macs(model),
        "images_per_second": float(np.median([record["images_per_second"] for record in history.records])),
        "epochs": last["epoch"],
        "tested_epoch": tested["epoch"],
        "steps": last["step"],
        "images_seen": last["images_seen"],
        "precision": config.precision,
        "hardware": provenance.hardware(),
        "versions": provenance.library_versions(),
        "commit": provenance.commit(),
    }
