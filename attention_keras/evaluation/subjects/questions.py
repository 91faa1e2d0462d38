"""One image's attention under another image's global features."""

import keras
import numpy as np

from attention_keras.layers.attention_pool import AttentionPool
from attention_keras.layers.compatibility import CompatibilityScore
from attention_keras.models.blocks import POOL
from attention_keras.models.outputs import attention_maps
from attention_keras.models.query import global_model, query_model


def taps_that_ignore_g(model: keras.Model) -> list[str]:
    """Taps whose attention g cannot change: pc scores under a softmax, and mean attention.

    <u, l_i + g> = <u, l_i> + <u, g>; the second term is the same at every position, and a softmax over
    positions cancels it. `mean` attention is uniform whatever g is.
    """
    ignoring = []
    pools = {
        layer.name.removeprefix(POOL): layer for layer in model.layers if isinstance(layer, AttentionPool)
    }
    for layer in model.layers:
        if isinstance(layer, CompatibilityScore):
            tap = layer.name.removeprefix("scores_")
            softmaxed = tap in pools and pools[tap].normalization == "softmax"
            if layer.compat == "mean" or (layer.compat == "pc" and softmaxed):
                ignoring.append(tap)
    return ignoring


def questioned_maps(
    model: keras.Model, targets: np.ndarray, queries: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Attention of each target under its own g, and under the g of every query.

    Args:
        model: with one global feature vector.
        targets: `(t, H, W, 3)` pixels.
        queries: `(q, H, W, 3)` pixels.

    Returns:
        Tap -> own maps `(t, h, w)`, and tap -> questioned maps `(q, t, h, w)`.
    """
    encode, question = global_model(model), query_model(model)
    own_g = encode.predict_on_batch(np.asarray(targets, "float32"))
    own = _maps(question, targets, own_g)
    asked = [
        _maps(question, targets, np.repeat(g[None], len(targets), axis=0))
        for g in encode.predict_on_batch(np.asarray(queries, "float32"))
    ]
    return own, {tap: np.stack([maps[tap] for maps in asked]) for tap in own}


def _maps(question: keras.Model, targets: np.ndarray, g: np.ndarray) -> dict[str, np.ndarray]:
    return attention_maps(question.predict_on_batch([np.asarray(targets, "float32"), g]))
