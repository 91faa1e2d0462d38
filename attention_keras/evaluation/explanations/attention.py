"""The attention that a network computes on its way to the answer."""

import keras
import numpy as np

from attention_keras.evaluation.subjects.batches import predict_batches
from attention_keras.models.outputs import attention_maps


def attention_of(model: keras.Model, images: np.ndarray, batch_size: int = 128) -> dict[str, np.ndarray]:
    """Attention of each tap, from early to late levels.

    Args:
        model: with attention outputs.
        images: `(n, H, W, 3)` pixels.
        batch_size: images at a time.

    Returns:
        Tap -> `(n, h, w)`.
    """
    outputs = attention_maps(model.output)
    found = predict_batches(keras.Model(model.input, outputs), images, batch_size)
    return {tap: found[tap] for tap in outputs}
