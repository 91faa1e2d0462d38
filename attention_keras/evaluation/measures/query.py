"""One image's attention under another image's question: how far does it move?"""

import keras
import numpy as np

from attention_keras.evaluation.measures.faithfulness import correlation
from attention_keras.layers.attention_pool import AttentionPool
from attention_keras.layers.compatibility import CompatibilityScore
from attention_keras.models.query import global_model, query_model


def taps_that_ignore_g(model: keras.Model) -> list[str]:
    """Taps whose attention g cannot change: pc scores under a softmax, and mean attention.

    <u, l_i + g> = <u, l_i> + <u, g>; the second term is the same at every position, and a softmax over
    positions cancels it. `mean` attention is uniform whatever g is.
    """
    ignoring = []
    pools = {
        layer.name.removeprefix("pool_"): layer for layer in model.layers if isinstance(layer, AttentionPool)
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
    maps = question.predict_on_batch([np.asarray(targets, "float32"), g])
    return {name.removeprefix("attention_"): np.asarray(m) for name, m in maps.items()}


def total_variation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Half the summed difference of two maps `(n, h, w)` read as distributions: the attention that moved.

    Example:
        >>> total_variation(np.array([[[1.0, 0.0]]]), np.array([[[0.25, 0.75]]])).tolist()
        [0.75]
    """
    shares = [m / np.maximum(m.sum(axis=(1, 2), keepdims=True), 1e-12) for m in (one, other)]
    return np.abs(shares[0] - shares[1]).sum(axis=(1, 2)) / 2


def movement(own: np.ndarray, asked: np.ndarray) -> dict[str, float]:
    """How far the queries move the maps of one tap.

    Args:
        own: `(t, h, w)`.
        asked: `(q, t, h, w)`.

    Returns:
        Means over all pairs: `correlation` and `total_variation` with the target's own map, and
        `between_targets`, the total variation between the own maps of different targets, for scale.
    """
    pairs = [(own, maps) for maps in asked]
    neighbours = np.roll(own, 1, axis=0)
    return {
        "correlation": float(np.mean([correlation(*pair) for pair in pairs])),
        "total_variation": float(np.mean([total_variation(*pair) for pair in pairs])),
        "between_targets": float(total_variation(own, neighbours).mean()) if len(own) > 1 else float("nan"),
    }
