"""VGG graphs of the official code: the plain baseline and the trunk that attention is put on.

Blocks are Conv3x3 (with bias) -> batch norm (eps 1e-3) -> ReLU -> dropout where marked; the last
convolution of each stage has none. Taps are taken before the pool that follows them.
"""

from dataclasses import dataclass

import keras
from keras import layers

from attention_keras.errors import UserError
from attention_keras.models.initializers import InitScheme

WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
STAGE_ENDS = (2, 4, 7, 10, 13)
TAPS = ("conv7", "conv10", "conv13")
GLOBAL_WIDTH = 512


@dataclass(frozen=True)
class Builder:
    """How the blocks of one model are made: channel factor, dropout, initialisers."""

    width: float = 1.0
    dropout: bool = True
    init: InitScheme = InitScheme("torch")  # noqa: RUF009  (immutable in use)

    def channels(self, count: int) -> int:
        """`count` channels of the paper, scaled; at least 2."""
        return max(2, round(count * self.width))

    def drop(self, x, rate: float, name: str):
        """Dropout, or nothing when the model has none."""
        return layers.Dropout(rate, name=name)(x) if self.dropout else x

    def conv_block(self, x, channels: int, name: str, rate: float = 0.0):
        """`(b, h, w, c)` to `(b, h, w, channels)`; the ReLU carries the block's name."""
        x = layers.Conv2D(channels, 3, padding="same", name=f"{name}_conv", **self.init.conv())(x)
        x = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_norm", **self.init.batch_norm())(x)
        x = layers.ReLU(name=name)(x)
        return self.drop(x, rate, f"{name}_dropout") if rate else x

    def conv(self, x, index: int):
        """Convolution block number `index` (1 to 13) of VGG-16."""
        rate = 0.0 if index in STAGE_ENDS else 0.3 if index == 1 else 0.4
        # conv2 to conv13 that do not end a stage have 0.4; conv1 has 0.3
        return self.conv_block(x, self.channels(WIDTHS[index - 1]), f"conv{index}", rate)

    def dense(self, x, units: int, name: str, **kwargs):
        """A Dense layer with the scheme's initialisers."""
        return layers.Dense(units, name=name, **self.init.dense(x.shape[-1]), **kwargs)(x)


def check_input(input_shape: tuple[int, int, int]) -> None:
    """Raises UserError unless height and width are multiples of 16."""
    height, width, _ = input_shape
    if height % 16 or width % 16 or not height or not width:
        raise UserError(
            f"VGG models need images whose height and width are multiples of 16; got {width}x{height} "
            "(the paper's are 32x32, and 80x80 for CUB)"
        )


def pool(x, size: int | tuple[int, int], name: str):
    """Max-pooling without overlap; sizes that do not divide are padded, as Torch's ceil mode does."""
    return layers.MaxPooling2D(size, padding="same", name=name)(x)


def attention_trunk(images, builder: Builder) -> dict:
    """conv1 to conv13 with the first two pools of VGG-16 removed (`CIF/*/1_local.lua`).

    Returns:
        The taps: `conv7` at image size, `conv10` at 16x16, `conv13` at 8x8 (for 32x32 and 80x80 images).
    """
    x, taps = images, {}
    for index in range(1, 14):
        x = builder.conv(x, index)
        if index == 7:
            taps["conv7"] = x
            x = pool(x, (images.shape[1] // 16, images.shape[2] // 16), "pool7")
        elif index == 10:
            taps["conv10"] = x
            x = pool(x, 2, "pool10")
    taps["conv13"] = x
    return taps


def global_branch(x, builder: Builder, name: str = "global_features"):
    """From the last tap to g: two more convolutions and a linear layer (`*_vgg_global.lua`)."""
    x = pool(x, 2, "pool13")
    x = pool(builder.conv_block(x, builder.channels(512), "conv14", 0.4), 2, "pool14")
    x = pool(builder.conv_block(x, builder.channels(512), "conv15", 0.4), 2, "pool15")
    x = layers.Flatten(name="global_flatten")(x)
    x = builder.drop(x, 0.5, "global_dropout")
    return builder.dense(x, builder.channels(GLOBAL_WIDTH), name)


def baseline(images, builder: Builder, num_classes: int):
    """`vgg_bn_drop`: VGG-16 with batch norm and dropout; returns logits `(b, k)`."""
    x = images
    for index in range(1, 14):
        x = builder.conv(x, index)
        if index == 12 and images.shape[1] > 32:
            x = pool(x, 2, "pool12")
        if index in STAGE_ENDS[:-1]:
            x = pool(x, 2, f"pool{index}")
    x = layers.GlobalMaxPooling2D(name="pool13")(x)
    x = builder.drop(x, 0.5, "classifier_dropout1")
    x = builder.dense(x, builder.channels(512), "classifier_hidden")
    x = layers.BatchNormalization(epsilon=1e-5, name="classifier_norm", **builder.init.batch_norm())(x)
    x = layers.ReLU(name="classifier_relu")(x)
    x = builder.drop(x, 0.5, "classifier_dropout2")
    return builder.dense(x, num_classes, "classifier", dtype="float32")


def head(x, builder: Builder, name: str, rate: float = 0.5):
    """What every descriptor goes through before the classifier: BN -> ReLU -> dropout (`vgg_match.lua`)."""
    x = layers.BatchNormalization(epsilon=1e-5, name=f"{name}_norm", **builder.init.batch_norm())(x)
    x = layers.ReLU(name=f"{name}_relu")(x)
    return builder.drop(x, rate, f"{name}_dropout")


def input_layer(input_shape: tuple[int, int, int]) -> keras.KerasTensor:
    """Raw pixels `(b, h, w, 3)` in [0, 255]."""
    return keras.Input(input_shape, dtype="float32", name="images")
