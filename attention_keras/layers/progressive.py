"""The gate of progressive attention networks (VGG-PAN): features fade where scores are low."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="attention_keras")
class ProgressiveGate(keras.layers.Layer):
    """Gated map `(b, h, w, c)` and gate `(b, h, w)` from local features and their scores.

    gate_i = sigmoid(score_i) in float32; gated_i = gate_i l_i. Positions are not summed: the gated map
    goes on through the network. Source: `2_level_atten_higherlevel_PAN` of the official code.

    Call arguments:
        local_features: `(b, h, w, c)`.
        scores: `(b, h, w)`.

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
