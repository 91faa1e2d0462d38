"""The end of a run: calibrated on the validation images, tested on the test images, in numbers."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from attention_keras.data.split import Split
from attention_keras.models.compute import count_macs, count_parameters
from attention_keras.models.outputs import LOGITS
from attention_keras.runs import provenance
from attention_keras.runs.config import RunConfig
from attention_keras.training.calibrate import fit_temperature
from attention_keras.training.history import History


def take_final_test(
    model: keras.Model, validation: Split, test: Split, in_order: Callable[[Split], tf.data.Dataset]
) -> tuple[float, np.ndarray]:
    """The temperature that fits the validation images, and the class of each test image `(n,)`.

    Call it in the strategy's scope; `in_order` makes batches of a split.
    """
    # A view without the maps, which nobody reads here.
    classifier = keras.Model(model.input, model.output[LOGITS])
    classifier.jit_compile = False  # Keras's own choice is XLA on a GPU, also where it aborts
    logits = classifier.predict(in_order(validation), verbose=0)
    predicted = classifier.predict(in_order(test), verbose=0).argmax(axis=-1)
    return fit_temperature(logits, np.asarray(validation.labels)), predicted


def final_metrics(
    config: RunConfig, model: keras.Model, history: History, correct: np.ndarray, seconds: float
) -> dict[str, Any]:
    """What `metrics.json` holds; `correct` `(n,)` says which test images were."""
    last = history.records[-1]
    tested = history.records[history.best_epoch - 1] if config.patience else last
    accuracy = float(correct.mean())
    return {
        "test_error": 1 - accuracy,
        "test_accuracy": accuracy,
        "test_images": len(correct),
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
