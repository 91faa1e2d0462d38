"""The blocks that the paper's networks are made of, and their initial weights."""

import math
from dataclasses import dataclass

from keras import initializers, layers

from attention_keras.layers.choices import check_choices
from attention_keras.models.spec import Init

GLOBAL_FEATURES = "global_features"
POOL = "pool_"  # how the names of layers begin that make a descriptor; the tap's name follows


@dataclass(frozen=True)
class Builder:
    """Makes the layers of one model: factor on every channel count, dropout or none, initial weights.

    `torch` is `MSRinit` of the official model files and Torch7's nn defaults; `keras` has a small u, so that
    attention starts flat. An initialiser that nobody uses would take a seed from those that follow.
    """

    width: float = 1.0
    dropout: bool = True
    init: Init = "torch"

    def __post_init__(self):
        check_choices(self)

    def channels(self, count: int) -> int:
        """`count` channels of the paper, scaled; at least 2."""
        return max(2, round(count * self.width))

    def drop(self, x, rate: float, name: str):
        """Element-wise dropout, or `x` itself."""
        return layers.Dropout(rate, name=name)(x) if self.dropout and rate else x

    def norm_relu(self, x, name: str, epsilon: float = 1e-5):
        """Batch norm -> ReLU; the ReLU carries the name."""
        start = {"gamma_initializer": initializers.RandomUniform(0.0, 1.0)} if self.init == "torch" else {}
        x = layers.BatchNormalization(momentum=0.9, epsilon=epsilon, name=f"{name}_norm", **start)(x)
        return layers.ReLU(name=name)(x)

    def conv(self, x, channels: int, name: str, size: int = 3, stride: int = 1, bias: bool = True):
        """A convolution that keeps the map's size (divided by the stride)."""
        start = _msr() if self.init == "torch" else initializers.HeNormal()
        return layers.Conv2D(
            channels, size, stride, padding="same", use_bias=bias, name=name, kernel_initializer=start
        )(x)

    def conv_block(self, x, channels: int, name: str, rate: float = 0.0):
        """VGG's block: conv 3x3 -> batch norm (eps 1e-3) -> ReLU, named `name` -> dropout."""
        x = self.norm_relu(self.conv(x, channels, f"{name}_conv"), name, epsilon=1e-3)
        return self.drop(x, rate, f"{name}_dropout")

    def dense(self, x, units: int, name: str, **kwargs):
        """A linear layer."""
        bound = 1 / math.sqrt(x.shape[-1])
        names = ("kernel_initializer", "bias_initializer") if self.init == "torch" else ()
        start = {name: initializers.RandomUniform(-bound, bound) for name in names}
        return layers.Dense(units, name=name, **start, **kwargs)(x)

    def classifier(self, x, num_classes: int, name: str = "classifier"):
        """Logits `(b, k)` in float32."""
        return self.dense(x, int(num_classes), name, dtype="float32")  # a NumPy count too

    def head(self, x, name: str, rate: float = 0.5):
        """What a vector goes through before a linear layer (`vgg_match.lua`; most re-implementations leave it
        out)."""
        return self.drop(self.norm_relu(x, name), rate, f"{name}_dropout")

    def score(self) -> dict:
        """The initialiser for a CompatibilityScore."""
        return {"u_initializer": _msr()} if self.init == "torch" else {}


def _msr():
    return initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal")


def pool(x, size: int | tuple[int, int], name: str):
    """Max-pooling without overlap; what does not divide is padded, as in Torch's ceil mode."""
    return layers.MaxPooling2D(size, padding="same", name=name)(x)
