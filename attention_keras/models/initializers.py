"""Initial weights as in the official Torch code, or as Keras users expect."""

import math
from typing import get_args

import keras

from attention_keras.models.spec import Init


class InitScheme:
    """Keyword arguments for the layers of one scheme.

    `torch`: convolutions N(0, sqrt(2 / fan_out)), Dense kernels and biases uniform within
    1/sqrt(fan_in), batch-norm gamma uniform in (0, 1). `keras`: He-normal convolutions, Glorot
    Dense kernels, zero biases, gamma 1, and a small u, so that attention starts flat.
    Source: `MSRinit` in the official model files; Torch7's nn defaults.

    Args:
        name: `torch` or `keras`.
    """

    def __init__(self, name: Init = "torch"):
        if name not in get_args(Init):
            raise ValueError(f"init must be {' or '.join(get_args(Init))}; got {name!r}")
        self.name = name
        self._torch = name == "torch"

    def conv(self) -> dict:
        """For Conv2D."""
        if self._torch:
            return {"kernel_initializer": self._msr()}
        return {"kernel_initializer": keras.initializers.HeNormal()}

    def dense(self, fan_in: int) -> dict:
        """For Dense on `fan_in` inputs."""
        if not self._torch:
            return {}
        bound = 1 / math.sqrt(fan_in)
        return {
            "kernel_initializer": keras.initializers.RandomUniform(-bound, bound),
            "bias_initializer": keras.initializers.RandomUniform(-bound, bound),
        }

    def batch_norm(self) -> dict:
        """For BatchNormalization."""
        if not self._torch:
            return {"momentum": 0.9}
        return {"momentum": 0.9, "gamma_initializer": keras.initializers.RandomUniform(0.0, 1.0)}

    def score(self) -> dict:
        """For CompatibilityScore."""
        if self._torch:
            return {"u_initializer": self._msr()}
        return {}

    @staticmethod
    def _msr():
        return keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal")
