"""Class attention: each class looks where its own classifier row finds it."""

import keras
from keras import ops

from attention_keras.layers.attention_pool import softmax_over_places


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
