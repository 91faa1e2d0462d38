"""The blocks that the paper's networks are made of, and their initial weights."""

import math
from dataclasses import dataclass, field
from typing import get_args

import keras
from keras import layers

from attention_keras.models.spec import Init

GLOBAL_FEATURES = "global_features"
POOL = "pool_"  # how the names of layers begin that make a descriptor; the tap's name follows


class InitScheme:
    """Keyword arguments for the layers of one scheme.

    `torch`: convolutions N(0, sqrt(2 / fan_out)), Dense kernels and biases uniform within
    1/sqrt(fan_in), batch-norm gamma uniform in (0, 1). `keras`: He-normal convolutions, Glorot
    Dense kernels, zero biases, gamma 1, and a small u, so that attention starts flat.
    Source: `MSRinit` in the official model files; Torch7's nn defaults.
    """

    def __init__(self, name: Init = "torch"):
        if name not in get_args(Init):
            raise ValueError(f"init must be {' or '.join(get_args(Init))}; got {name!r}")
        self._torch = name == "torch"

    def conv(self) -> dict:
        """For Conv2D."""
        return {"kernel_initializer": self._msr() if self._torch else keras.initializers.HeNormal()}

    def dense(self, fan_in: int) -> dict:
        """For Dense on `fan_in` inputs."""
        bound = 1 / math.sqrt(fan_in)
        names = ("kernel_initializer", "bias_initializer") if self._torch else ()
        return {name: keras.initializers.RandomUniform(-bound, bound) for name in names}

    def batch_norm(self) -> dict:
        """For BatchNormalization."""
        if not self._torch:  # an initialiser that nobody uses would take a seed from those that follow
            return {"momentum": 0.9}
        return {"momentum": 0.9, "gamma_initializer": keras.initializers.RandomUniform(0.0, 1.0)}

    def score(self) -> dict:
        """For CompatibilityScore."""
        return {"u_initializer": self._msr()} if self._torch else {}

    @staticmethod
    def _msr():
        return keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal")


@dataclass(frozen=True)
class Builder:
    """Makes the layers of one model: factor on every channel count, dropout or none, initialisers."""

    width: float = 1.0
    dropout: bool = True
    init: InitScheme = field(default_factory=InitScheme)

    def channels(self, count: int) -> int:
        """`count` channels of the paper, scaled; at least 2."""
        return max(2, round(count * self.width))

    def drop(self, x, rate: float, name: str):
        """Element-wise dropout, or `x` itself."""
        return layers.Dropout(rate, name=name)(x) if self.dropout and rate else x

    def norm_relu(self, x, name: str, epsilon: float = 1e-5):
        """Batch norm -> ReLU; the ReLU carries the name."""
        norm = layers.BatchNormalization(epsilon=epsilon, name=f"{name}_norm", **self.init.batch_norm())
        x = norm(x)
        return layers.ReLU(name=name)(x)

    def conv(self, x, channels: int, name: str, size: int = 3, stride: int = 1, bias: bool = True):
        """A convolution that keeps the map's size (divided by the stride)."""
        return layers.Conv2D(
            channels, size, stride, padding="same", use_bias=bias, name=name, **self.init.conv()
        )(x)

    def conv_block(self, x, channels: int, name: str, rate: float = 0.0):
        """VGG's block: conv 3x3 -> batch norm (eps 1e-3) -> ReLU, named `name` -> dropout."""
        x = self.norm_relu(self.conv(x, channels, f"{name}_conv"), name, epsilon=1e-3)
        return self.drop(x, rate, f"{name}_dropout")

    def dense(self, x, units: int, name: str, **kwargs):
        """A linear layer."""
        return layers.Dense(units, name=name, **self.init.dense(x.shape[-1]), **kwargs)(x)

    def classifier(self, x, num_classes: int, name: str = "classifier"):
        """Logits `(b, k)` in float32."""
        return self.dense(x, int(num_classes), name, dtype="float32")  # a NumPy count too

    def head(self, x, name: str, rate: float = 0.5):
        """What a feature vector `(b, c)` goes through before a linear layer: BN -> ReLU -> dropout.

        Source: `vgg_match.lua`; most re-implementations leave it out.
        """
        return self.drop(self.norm_relu(x, name), rate, f"{name}_dropout")


def pool(x, size: int | tuple[int, int], name: str):
    """Max-pooling without overlap; what does not divide is padded, as in Torch's ceil mode."""
    return layers.MaxPooling2D(size, padding="same", name=name)(x)
