"""The VGG graphs of the official code: the baseline, and the trunk that attention is put on.

Layer numbers are those of VGG-16 plus conv14 and conv15 of the global branch. A tap is the output of
the ReLU of its block, before the pool that follows.
"""

import math

from keras import layers

from attention_keras.errors import UserError
from attention_keras.layers.attention_pool import AttentionPool
from attention_keras.layers.compatibility import CompatibilityScore
from attention_keras.layers.progressive import ProgressiveGate
from attention_keras.models.blocks import GLOBAL_FEATURES, POOL, Builder, pool

WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
STAGE_ENDS = (2, 4, 7, 10, 13)
TAPS = ("conv7", "conv10", "conv13")
MAP_SIDE = 16


def check_input(input_shape: tuple[int, int, int]) -> None:
    """Raises UserError unless height and width are multiples of 16."""
    height, width, _ = input_shape
    if not height or not width or height % MAP_SIDE or width % MAP_SIDE:
        fitting = MAP_SIDE * math.ceil(max(height or 1, width or 1, 2 * MAP_SIDE) / MAP_SIDE)
        raise UserError(
            f"VGG models need images whose height and width are multiples of 16; got {width}x{height}; "
            f"train with image_size {fitting} (the paper's are 32x32, and 80x80 for CUB)"
        )


def _conv(x, index: int, builder: Builder):
    """Block number `index`; the last of a stage has no dropout (`vgg_bn_drop.lua`)."""
    rate = 0.0 if index in STAGE_ENDS else 0.3 if index == 1 else 0.4
    return builder.conv_block(x, builder.channels(WIDTHS[index - 1]), f"conv{index}", rate)


def _convs(x, first: int, last: int, builder: Builder):
    for index in range(first, last + 1):
        x = _conv(x, index, builder)
    return x


def trunk(images, builder: Builder, levels: int = 2) -> dict:
    """conv1 to conv13 without VGG-16's first two pools, so that conv1 to conv7 see every pixel.

    Taps: `conv7` `(b, h, w, 256)` (32x32 for levels 3), `conv10` `(b, 16, 16, 512)`, `conv13`
    `(b, 8, 8, 512)`. Source: section 3.3; `CIF/2_level_atten_1global`, `CUB/*`.
    """
    x = _convs(images, 1, 7, builder)
    if levels == 3:
        x = _to_side_32(x)
    taps = {"conv7": x}
    x = pool(x, (x.shape[1] // MAP_SIDE, x.shape[2] // MAP_SIDE), "pool7")
    taps["conv10"] = x = _convs(x, 8, 10, builder)
    taps["conv13"] = _convs(pool(x, 2, "pool10"), 11, 13, builder)
    return taps


def _to_side_32(x):
    """`CUB/3_level_atten_1global`: 80 -> (nearest, doubled) 160 -> (max-pool 5) 32."""
    height, width = x.shape[1:3]
    if height % 32 or width % 32:
        x = layers.UpSampling2D(2, name="upsample7")(x)
        height, width = 2 * height, 2 * width
    return x if (height, width) == (32, 32) else pool(x, (height // 32, width // 32), "pool7_to_32")


def global_branch(x, builder: Builder, suffix: str = ""):
    """From the deepest tap `(b, 8, 8, 512)` to g `(b, 512)`, the linear output of one FC layer.

    Source: `*_vgg_global.lua`. The FC layer is named `global_features` + suffix.
    """
    return _global(x, builder, 512, ("14", "15"), 2, f"{suffix}")


def level_global_branch(x, tap: str, builder: Builder):
    """A global branch of its own for a higher tap (`2_level_atten_2global`, `3_level_atten_3global`)."""
    blocks = ("a", "b", "c") if tap == "conv7" else ("a", "b")
    channels = 256 if tap == "conv7" else 512
    names = tuple(f"_{tap}{block}" for block in blocks)
    return _global(x, builder, channels, names, 4, f"_{tap}")


def _global(x, builder: Builder, channels: int, blocks, first_pool: int, suffix: str):
    x = pool(x, first_pool, f"global_pool{suffix}")
    for block in blocks:
        x = pool(builder.conv_block(x, builder.channels(channels), f"conv{block}", 0.4), 2, f"pool{block}")
    x = layers.Flatten(name=f"global_flatten{suffix}")(x)
    x = builder.drop(x, 0.5, f"global_dropout{suffix}")
    return builder.dense(x, builder.channels(channels), f"{GLOBAL_FEATURES}{suffix}")


def baseline(images, builder: Builder, num_classes: int) -> dict:
    """VGG-16 with batch norm and dropout, all five pools in place (`vgg_bn_drop.lua`)."""
    x = images
    for index in range(1, 14):
        x = _conv(x, index, builder)
        if index in STAGE_ENDS[:-1] or (index == 12 and images.shape[1] > 32):
            x = pool(x, 2, f"pool{index}")
    x = layers.GlobalMaxPooling2D(name="pool13")(x)
    x = builder.drop(x, 0.5, "classifier_dropout")
    x = builder.head(builder.dense(x, builder.channels(512), "classifier_hidden"), "classifier_head")
    return {"logits": builder.classifier(x, num_classes)}


def global_average_pooling(images, builder: Builder, num_classes: int) -> dict:
    """VGG-GAP: the trunk, averaged over its 8x8 map; class activation maps come from its classifier.

    Two pools are certain from the official notebooks, which two is not; these are the attention
    trunk's, so that the networks differ in the head only.
    """
    x = layers.GlobalAveragePooling2D(name="average_pool")(trunk(images, builder)["conv13"])
    return {"logits": builder.classifier(x, num_classes)}


def high_resolution(images, builder: Builder, num_classes: int) -> dict:
    """The control: trunk and global branch of the attention models, classified by g, no attention."""
    g = global_branch(trunk(images, builder)["conv13"], builder)
    return {"logits": builder.classifier(builder.head(g, "head"), num_classes)}


def progressive_attention(images, builder: Builder, num_classes: int) -> dict:
    """VGG-PAN: a sigmoid gate on conv10, whose gated map feeds the rest; softmax attention on conv13.

    Source: `2_level_atten_higherlevel_PAN`.
    """
    local = _convs(images, 1, 7, builder)
    local = pool(local, (local.shape[1] // MAP_SIDE, local.shape[2] // MAP_SIDE), "pool7")
    local = _convs(local, 8, 10, builder)
    score = builder.init.score()
    g = level_global_branch(local, "conv10", builder)
    gated, gate = ProgressiveGate(name="gate_conv10")(
        local, CompatibilityScore("pc", name="scores_conv10", **score)(local, g)
    )
    local = _convs(pool(gated, 2, "pool10"), 11, 13, builder)
    g = global_branch(local, builder)
    scores = CompatibilityScore("pc", name="scores_conv13", **score)(local, g)
    descriptor, attention = AttentionPool(name=f"{POOL}conv13")(local, scores)
    return {
        "logits": builder.classifier(builder.head(descriptor, "head_conv13"), num_classes),
        "attention_conv10": gate,
        "attention_conv13": attention,
    }
