"""The maps that a network computes itself: attention, evidence, and CAM after global average pooling.

Each function takes what `MapKind.compute` says, and gives level -> `(n, h, w)`.
"""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import keras
import numpy as np

from attention_keras.evaluation.subjects.predictor import SavedModelPredictor
from attention_keras.evaluation.subjects.subject import Subject
from attention_keras.evaluation.subjects.views import cam_parts, map_batches, predict_batches
from attention_keras.models.evidence import combine_evidence, evidence_model, has_evidence
from attention_keras.models.outputs import attention_maps, evidence_maps

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
    network, size = _explained(model), images.shape[1:3]
    targets = np.asarray(targets, "int32")

    def call(rows: np.ndarray):
        pixels = np.asarray(images[rows], "float32")
        maps = evidence_maps(network.predict_on_batch([pixels, targets[rows]]))
        if len(maps) > 1:
            maps[ALL] = keras.ops.convert_to_numpy(combine_evidence(maps, size))
        return maps

    return map_batches(call, np.arange(len(images)), batch_size)


_EXPLAINED: WeakKeyDictionary[keras.Model, keras.Model] = WeakKeyDictionary()


def _explained(model: keras.Model) -> keras.Model:
    """Its evidence model, made once: the first answer of a new model takes seconds."""
    if model not in _EXPLAINED:
        _EXPLAINED[model] = evidence_model(model, of="asked")
    return _EXPLAINED[model]


def total_evidence(
    model: keras.Model, images: np.ndarray, targets: Sequence[int], batch_size: int = 128
) -> np.ndarray:
    """One map for each image, the evidence of all taps: `(n, H, W)`; of a network with one tap `(n, h, w)`.

    The map for one class rather than another is the difference of theirs.
    """
    *_, total = evidence_of(model, images, targets, batch_size).values()
    return total


def evidence_or_none(
    subject: Subject, images: np.ndarray, targets: Sequence[int], batch_size: int = 128
) -> np.ndarray | None:
    """`total_evidence` of whatever is under test, a SavedModel too; None where it has none."""
    if isinstance(subject.predictor, SavedModelPredictor):
        return subject.predictor.evidence(images, targets, batch_size)
    return total_evidence(subject.model, images, targets, batch_size) if has_evidence(subject.model) else None


def cam_of(
    model: keras.Model, images: np.ndarray, targets: Sequence[int], batch_size: int = 128, seed: int = 0
) -> dict[str, np.ndarray]:
    """CAM (Zhou et al. 2016): features weighted by the classifier's weights of the class, cut off at 0."""
    extract, kernel = cam_parts(model)
    features = predict_batches(extract, images, batch_size)
    return {"CAM": np.maximum(np.einsum("nhwc,cn->nhw", features, kernel[:, np.asarray(targets)]), 0)}
