"""The numbers of a finished run, as `metrics.json` holds them."""

from typing import Any

import keras
import numpy as np

from attention_keras.models.compute import count_macs, count_parameters
from attention_keras.runs import provenance
from attention_keras.runs.config import RunConfig
from attention_keras.training.history import History


def final_metrics(
    config: RunConfig, model: keras.Model, history: History, accuracy: float, images: int, seconds: float
) -> dict[str, Any]:
    """Plain JSON values.

    Args:
        config: of the run.
        model: as trained.
        history: of all epochs.
        accuracy: on the test images, in [0, 1].
        images: number of test images.
        seconds: that all epochs took.
    """
    last = history.records[-1]
    tested = history.records[history.best_epoch - 1] if config.patience else last
    return {
        "test_error": 1 - accuracy,
        "test_accuracy": accuracy,
        "test_images": images,
        "validation_error": 1 - tested["val_accuracy"],
        "best_validation_error": 1 - history.best_validation_accuracy,
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
