"""The maps that a network computes itself: attention, evidence, and CAM after global average pooling.

Each function takes what `MapKind.compute` says, and gives level -> `(n, h, w)`.
"""

from collections.abc import Callable, Sequence
from functools import partial

import keras
import numpy as np

from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.evaluation.subjects.views import cam_parts, predict_batches
from attention_keras.explaining.batches import in_batches
from attention_keras.explaining.explain import explain
from attention_keras.explaining.explanation import Explanation
from attention_keras.models.outputs import attention_maps

ALL = "all"
"""Name of the map at image size that adds the evidence of all taps up."""


def attention_of(
    model: keras.Model, images: np.ndarray, targets: object = None, batch_size: int = 128, seed: int = 0
) -> dict[str, np.ndarray]:
    """Attention of each tap, from early to late levels."""
    outputs = attention_maps(model.output)
    maps = predict_batches(keras.Model(model.input, outputs), images, batch_size)
    return {tap: maps[tap] for tap in outputs}


def evidence_of(
    model: keras.Model, images: np.ndarray, targets: Sequence[int], batch_size: int = 128, seed: int = 0
) -> dict[str, np.ndarray]:
    """Signed evidence of each tap for the target classes; of several taps also `all`, at image size."""
    return _signed(partial(explain, model), images, targets, batch_size)


def total_evidence(
    subject: Subject, images: np.ndarray, targets: Sequence[int], batch_size: int = 128
) -> np.ndarray | None:
    """One map for each image, the evidence of all taps: `(n, H, W)`; of one tap in a Keras model `(n, h, w)`.

    None where the subject has none. The map for one class rather than another is the difference of theirs.
    """
    maps = _signed(subject.explain, images, targets, batch_size)
    return list(maps.values())[-1] if maps else None


def _signed(ask: Callable[..., Explanation], images, targets, batch_size: int) -> dict[str, np.ndarray]:
    def call(pixels: np.ndarray, classes: np.ndarray) -> dict[str, np.ndarray]:
        found = ask(pixels, classes)
        return found.evidence | ({ALL: found.total} if len(found.evidence) > 1 else {})

    return in_batches(call, (images, np.asarray(targets)), batch_size)


def cam_of(
    model: keras.Model, images: np.ndarray, targets: Sequence[int], batch_size: int = 128, seed: int = 0
) -> dict[str, np.ndarray]:
    """CAM (Zhou et al. 2016): features weighted by the classifier's weights of the class, cut off at 0."""
    extract, kernel = cam_parts(model)
    features = predict_batches(extract, images, batch_size)
    return {"CAM": np.maximum(np.einsum("nhwc,cn->nhw", features, kernel[:, np.asarray(targets)]), 0)}
