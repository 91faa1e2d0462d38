"""How well each local feature fits the global one: the compatibility scores of the paper's section 3."""

import math
from typing import Any, get_args

import keras
from keras import ops

from attention_keras.layers.choices import Compat

SMALLEST_SQUARE = 1e-6


@keras.saving.register_keras_serializable(package="attention_keras")
class CompatibilityScore(keras.layers.Layer):
    """Scores `(b, h, w)` of local features `(b, h, w, c)` against global features `(b, c)`.

    | compat | score of position i | source |
    |---|---|---|
    | `scaled` | `<l_i, q> / sqrt(c)`, `q = g / rms(g)` | ours, after Vaswani et al. 2017, section 3.2.1 |
    | `dp` | `<l_i, g>` | paper, section 3.1; `*DP*/3_atten.lua` |
    | `pc` | `<u, l_i + g> + bias`, u learned | paper, section 3.1; `3_atten.lua` |
    | `additive` | `<u, tanh(l_i + g)> + bias` | ours, not from the paper |
    | `mean` | 0: uniform attention, the control | ours |

    `pc` is computed as `<u, l_i> + <u, g>`. A softmax over the map cancels `<u, g>`, so g may be left out
    (`None`). rms(g) = sqrt(mean over c of g^2 + 1e-6), so q has length sqrt(c) whatever the size of g. For
    local features of unit variance the scores of `dp` grow with sqrt(c): at 512 channels the softmax is
    almost one-hot from the start and passes no gradient to g. Those of `scaled` have unit variance. Float32
    under every dtype policy.

    Args:
        compat: one of the above.
        u_initializer: initialiser of u `(c, 1)`. By default attention starts almost uniform. The official
            code's N(0, sqrt 2) starts almost one-hot; `build_model` has it by default.

    Call arguments:
        local_features: `(b, h, w, c)`.
        global_features: `(b, c)`; map it to c channels first where its width differs.

    Raises:
        ValueError: `compat` is unknown, or a shape does not fit; the message names the argument.

    Example:
        >>> import numpy as np
        >>> score = CompatibilityScore("dp")
        >>> float(score(np.ones((1, 2, 2, 3)), np.ones((1, 3)))[0, 0, 0])
        3.0
    """

    def __init__(self, compat="scaled", u_initializer="glorot_uniform", **kwargs):
        super().__init__(autocast=False, **kwargs)
        if compat not in (allowed := get_args(Compat)):
            raise ValueError(f"compat must be one of {', '.join(allowed)}; got {compat!r}")
        self.compat = compat
        self.u_initializer = keras.initializers.get(u_initializer)

    def build(self, local_features_shape, global_features_shape=None):
        if len(local_features_shape) != 4:
            raise ValueError(f"local_features must be (b, h, w, c); got shape {tuple(local_features_shape)}")
        channels = local_features_shape[-1]
        if global_features_shape is None:
            if self.compat not in ("pc", "mean"):
                raise ValueError(f"global_features is needed for compat {self.compat!r}; got None")
        elif len(global_features_shape) != 2:
            raise ValueError(f"global_features must be (b, d); got shape {tuple(global_features_shape)}")
        elif global_features_shape[-1] != channels and self.compat != "mean":
            raise ValueError(
                f"global_features has width {global_features_shape[-1]} and local_features has {channels} "
                "channels; put a Dense layer on one of them so that they agree"
            )
        if self.compat in ("pc", "additive"):
            self.u = self.add_weight(shape=(channels, 1), initializer=self.u_initializer, name="u")
            self.bias = self.add_weight(shape=(1,), initializer="zeros", name="bias")

    def call(self, local_features, global_features=None):
        local_features = ops.cast(local_features, "float32")
        if self.compat == "mean":
            return ops.zeros_like(local_features[..., 0])
        g: Any = None if global_features is None else ops.cast(global_features, "float32")
        if self.compat == "scaled":
            rms = ops.sqrt(ops.mean(ops.square(g), axis=-1, keepdims=True) + SMALLEST_SQUARE)
            g = g / rms / math.sqrt(g.shape[-1])
        if self.compat in ("dp", "scaled"):
            return ops.einsum("bhwc,bc->bhw", local_features, g)
        u, bias = ops.cast(self.u, "float32"), ops.cast(self.bias, "float32")
        if self.compat == "additive":
            return ops.matmul(ops.tanh(local_features + g[:, None, None, :]), u)[..., 0] + bias
        scores = ops.matmul(local_features, u)[..., 0] + bias
        return scores if g is None else scores + ops.matmul(g, u)[:, None, :]

    def get_config(self):
        u_initializer = keras.initializers.serialize(self.u_initializer)
        return {**super().get_config(), "compat": self.compat, "u_initializer": u_initializer}
