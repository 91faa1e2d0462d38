"""The evidence of a network: the terms of a class's logit, place by place."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import keras
import numpy as np

from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.batches import map_batches
from attention_keras.models.evidence import combine_evidence, evidence_model
from attention_keras.models.outputs import evidence_maps
from attention_keras.models.readout import readouts

ALL = "all"
"""Name of the map at image size that adds the evidence of all taps up."""


def has_evidence(model: keras.Model) -> bool:
    """Whether the network's logits are a sum over places."""
    try:
        readouts(model)
    except UserError:
        return False
    return True


def evidence_of(
    model: keras.Model, images: np.ndarray, targets: Sequence[int], batch_size: int = 128
) -> dict[str, np.ndarray]:
    """Evidence for each image's target class, with its sign.

    Args:
        model: one for which `has_evidence` holds.
        images: `(n, H, W, 3)` pixels.
        targets: `(n,)` classes.
        batch_size: images at a time.

    Returns:
        Tap -> `(n, h, w)`, from early to late levels, and where there are several, `all` -> `(n, H, W)`.
    """
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
    model: keras.Model,
    images: np.ndarray,
    targets: Sequence[int],
    rather_than: Sequence[int] | None = None,
    batch_size: int = 128,
) -> np.ndarray:
    """One map for each image: the evidence of all its taps.

    Args:
        model, images, targets, batch_size: as in `evidence_of`.
        rather_than: `(n,)` classes; then the evidence is for the target rather than for these, and its sum is
            (but for the rest) the difference of the two logits.

    Returns:
        `(n, H, W)`; of a network with one tap `(n, h, w)`.
    """
    *_, total = evidence_of(model, images, targets, batch_size).values()
    if rather_than is None:
        return total
    return total - total_evidence(model, images, rather_than, batch_size=batch_size)
