"""What scores do to local features: a weighted sum, for all classes or for each of them, or a gate."""

from typing import get_args

import keras
from keras import ops

from attention_keras.layers.choices import Normalization


def softmax_over_places(scores):
    """Of `(b, h, w, ...)`. ops.softmax of two axes fails where the batch size is open, as in exports."""
    highest = ops.stop_gradient(ops.max(scores, axis=(1, 2), keepdims=True))
    exponentials = ops.exp(scores - highest)
    return exponentials / ops.sum(exponentials, axis=(1, 2), keepdims=True)


@keras.saving.register_keras_serializable(package="attention_keras")
class AttentionPool(keras.layers.Layer):
    """Descriptor `(b, c)` and attention `(b, h, w)` from local features and their scores.

    `softmax` (the paper): a = softmax of the scores over the n = h*w positions, so each map sums to 1;
    descriptor = sum over i of a_i l_i. `sigmoid` (of re-implementations): a_i is each position's own gate in
    (0, 1), the descriptor the mean of a_i l_i, so that its size does not grow with the map. Attention is
    float32 under every dtype policy; the descriptor has the compute dtype. Source: paper, section 3;
    `3_atten.lua`.

    Args:
        normalization: `softmax` or `sigmoid`.

    Call arguments:
        local_features: `(b, h, w, c)`.
        scores: `(b, h, w)`.
        valid: bool `(b, h, w)`, at least one true in an image: places that are no padding. Others get no
            attention, and are no positions. Without it all are valid.

    Raises:
        ValueError: `normalization` is unknown, or the shapes do not fit; the message names the argument.

    Example:
        >>> import numpy as np
        >>> descriptor, attention = AttentionPool()(np.ones((1, 2, 2, 3)), np.zeros((1, 2, 2)))
        >>> float(attention[0, 0, 0]), float(descriptor[0, 0])
        (0.25, 1.0)
    """

    def __init__(self, normalization="softmax", **kwargs):
        # Automatic casting would turn float32 scores into the compute dtype.
        super().__init__(autocast=False, **kwargs)
        if normalization not in (allowed := get_args(Normalization)):
            raise ValueError(f"normalization must be one of {', '.join(allowed)}; got {normalization!r}")
        self.normalization = normalization

    def build(self, local_features_shape, scores_shape):
        features, scores = tuple(local_features_shape), tuple(scores_shape)
        if len(features) != 4:
            raise ValueError(f"local_features must be (b, h, w, c); got shape {features}")
        if len(scores) != 3 or scores[1:] != features[1:3]:
            raise ValueError(f"scores must be (b, h, w) like local_features {features}; got shape {scores}")

    def call(self, local_features, scores, valid=None):
        scores = ops.cast(scores, "float32")
        if valid is not None:
            valid = ops.cast(valid, "bool")
            scores = ops.where(valid, scores, -1e9)
        local_features = ops.cast(local_features, self.compute_dtype)
        if self.normalization == "softmax":
            weights = attention = softmax_over_places(scores)
        else:
            attention = ops.sigmoid(scores)
            places = ops.ones_like(scores) if valid is None else ops.cast(valid, "float32")
            weights = attention / ops.sum(places, axis=(1, 2), keepdims=True)
        _, height, width, channels = ops.shape(local_features)
        # One summed axis: LiteRT gets an einsum over two wrong.
        descriptor = ops.einsum(
            "bn,bnc->bc",
            ops.reshape(ops.cast(weights, self.compute_dtype), (-1, height * width)),
            ops.reshape(local_features, (-1, height * width, channels)),
        )
        return descriptor, attention

    def pooled(self, inputs, outputs):
        """For evidence: how a call has pooled its map, the map, the weights, and which places are valid."""
        by = "weighted" if self.normalization == "softmax" else "mean of weighted"
        return by, inputs[0], outputs[1], inputs[2] if len(inputs) > 2 else None

    def get_config(self):
        return {**super().get_config(), "normalization": self.normalization}


@keras.saving.register_keras_serializable(package="attention_keras")
class ProgressiveGate(keras.layers.Layer):
    """Gated map `(b, h, w, c)` and gate `(b, h, w)` from local features and their scores.

    gate_i = sigmoid(score_i) in float32; gated_i = gate_i l_i. Positions are not summed: the gated map goes
    on through the network (VGG-PAN). Source: `2_level_atten_higherlevel_PAN` of the official code.

    Example:
        >>> import numpy as np
        >>> gated, gate = ProgressiveGate()(np.ones((1, 2, 2, 3)), np.zeros((1, 2, 2)))
        >>> float(gated[0, 0, 0, 0]), float(gate[0, 0, 0])
        (0.5, 0.5)
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def call(self, local_features, scores):
        gate = ops.sigmoid(ops.cast(scores, "float32"))
        local_features = ops.cast(local_features, self.compute_dtype)
        return local_features * ops.cast(gate, self.compute_dtype)[..., None], gate


@keras.saving.register_keras_serializable(package="attention_keras")
class ClassAttention(keras.layers.Layer):
    """Each class looks where it finds itself: logits `(b, k)` and attention `(b, h, w, k)` from local logits.

    A linear classifier gives every place i a logit for every class k, `s_ik = <x_i, w_k> + b_k`. The same
    numbers say where the class looks:

        a_ik = softmax over the places i of beta s_ik
        t_k  = sum over i of a_ik s_ik

    So a class of which a small part is in the image is not averaged away, and the evidence of place i for
    class k is a_ik s_ik, exactly. With w = 0 attention is uniform; beta = 0 is average pooling, a large one
    the strongest place. This is AutoPool (McFee, Salamon and Bello 2018) over the places of a map, and, added
    to the average with a weight, class-specific residual attention (Zhu and Wu 2021). Float32 under every
    dtype policy.

    Args:
        beta: how sharply a class looks.

    Call arguments:
        local_logits: `(b, h, w, k)`.
        valid: bool `(b, h, w)`, as of `AttentionPool`.

    Raises:
        ValueError: the local logits are not `(b, h, w, k)`.

    Example:
        >>> import numpy as np
        >>> local_logits = np.zeros((1, 2, 2, 3), "float32")
        >>> local_logits[0, 0, 1, 2] = 10
        >>> logits, attention = ClassAttention()(local_logits)
        >>> [round(float(t), 2) for t in logits[0]], round(float(attention[0, 0, 1, 2]), 2)
        ([0.0, 0.0, 10.0], 1.0)
    """

    def __init__(self, beta: float = 1.0, **kwargs):
        super().__init__(**kwargs | {"dtype": "float32"})
        self.beta = beta

    def build(self, local_logits_shape):
        if len(local_logits_shape) != 4:
            raise ValueError(f"local_logits must be (b, h, w, k); got shape {tuple(local_logits_shape)}")

    def call(self, local_logits, valid=None):
        local_logits = ops.cast(local_logits, "float32")
        scores = self.beta * local_logits
        if valid is not None:
            valid = ops.cast(valid, "bool")[..., None]
            scores = ops.where(valid, scores, -1e9)
            local_logits = ops.where(valid, local_logits, 0.0)
        attention = softmax_over_places(scores)
        return ops.sum(attention * local_logits, axis=(1, 2)), attention

    def pooled(self, inputs, outputs):
        """As of `AttentionPool`."""
        return "weighted", inputs[0], outputs[1], inputs[1] if len(inputs) > 1 else None

    def get_config(self):
        return {**super().get_config(), "beta": self.beta}
