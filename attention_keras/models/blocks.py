"""The blocks that the paper's networks are made of, and how one model makes them."""

from dataclasses import dataclass, field

import keras
from keras import layers

from attention_keras.models.initializers import InitScheme

GLOBAL_FEATURES = "global_features"
POOL = "pool_"  # how the names of layers begin that make a descriptor; the tap's name follows


@dataclass(frozen=True)
class Builder:
    """Makes the layers of one model: channel factor, dropout or none, initialisers.

    Args:
        width: factor on every channel count of the paper.
        dropout: False leaves all dropout out.
        init: the scheme of initial weights.
    """

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


def image_input(input_shape: tuple[int, int, int]) -> keras.KerasTensor:
    """Raw pixels `(b, h, w, 3)` in [0, 255]."""
    return keras.Input(input_shape, dtype="float32", name="images")
