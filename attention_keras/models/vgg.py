"""The VGG graphs of the official code, with layers numbered as in VGG-16: baselines, trunk, global branch."""

import math

from keras import layers

from attention_keras.errors import UserError
from attention_keras.layers.attention_pool import AttentionPool, ProgressiveGate
from attention_keras.layers.compatibility import CompatibilityScore
from attention_keras.models.blocks import GLOBAL_FEATURES, POOL, Builder, pool

WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
STAGE_ENDS = (2, 4, 7, 10, 13)
TAPS = ("conv7", "conv10", "conv13")
MAP_SIDE = 16
HEAD_DROPOUT = 0.5


def check_input(input_shape: tuple[int, int, int]) -> None:
    """Refuse images whose sides are no multiples of 16."""
    height, width, _ = input_shape
    if not height or not width or height % MAP_SIDE or width % MAP_SIDE:
        fitting = MAP_SIDE * math.ceil(max(height or 1, width or 1, 2 * MAP_SIDE) / MAP_SIDE)
        raise UserError(
            f"VGG models need sides of multiples of 16; got {width}x{height}; train with image_size {fitting}"
        )


def _convs(x, first: int, last: int, builder: Builder):
    """Blocks by number; the last of a stage has no dropout (`vgg_bn_drop.lua`)."""
    for index in range(first, last + 1):
        rate = 0.0 if index in STAGE_ENDS else 0.3 if index == 1 else 0.4
        x = builder.conv_block(x, builder.channels(WIDTHS[index - 1]), f"conv{index}", rate)
    return x


def _to_conv10(x, builder: Builder):
    """Pooled to 16x16 from whatever size conv7 has, and the next stage."""
    x = pool(x, (x.shape[1] // MAP_SIDE, x.shape[2] // MAP_SIDE), "pool7")
    return _convs(x, 8, 10, builder)


def trunk(images, builder: Builder, levels: int = 2) -> dict:
    """conv1 to conv13 without VGG-16's first two pools, so that conv1 to conv7 see every pixel. For images of
    32x32, maps of 32x32 (always, for three levels), 16x16 and 8x8. Source: section 3.3;
    `CIF/2_level_atten_1global`, `CUB/*`."""
    x = _convs(images, 1, 7, builder)
    if levels == 3:  # `CUB/3_level_atten_1global`: 80 -> (nearest, doubled) 160 -> (max-pool 5) 32
        if x.shape[1] % 32 or x.shape[2] % 32:
            x = layers.UpSampling2D(2, name="upsample7")(x)
        height, width = x.shape[1:3]
        if (height, width) != (32, 32):
            x = pool(x, (height // 32, width // 32), "pool7_to_32")
    conv10 = _to_conv10(x, builder)
    return {"conv7": x, "conv10": conv10, "conv13": _convs(pool(conv10, 2, "pool10"), 11, 13, builder)}


def global_branch(x, builder: Builder, tap: str = "conv13"):
    """From the deepest tap `(b, 8, 8, 512)` to g `(b, 512)` (`*_vgg_global.lua`); higher ones have their own
    (`2_level_atten_2global`, `3_level_atten_3global`)."""
    suffix, first_pool = ("", 2) if tap == "conv13" else (f"_{tap}", 4)
    channels = builder.channels(256 if tap == "conv7" else 512)
    x = pool(x, first_pool, f"global_pool{suffix}")
    for block in {"conv13": ("14", "15"), "conv10": "ab", "conv7": "abc"}[tap]:
        x = builder.conv_block(x, channels, f"conv{suffix}{block}", 0.4)
        x = pool(x, 2, f"pool{suffix}{block}")
    x = layers.Flatten(name=f"global_flatten{suffix}")(x)
    x = builder.drop(x, 0.5, f"global_dropout{suffix}")
    return builder.dense(x, channels, f"{GLOBAL_FEATURES}{suffix}")


def _baseline(images, builder: Builder, num_classes: int) -> dict:
    """VGG-16 with batch norm and dropout, all five pools in place (`vgg_bn_drop.lua`)."""
    x = images
    for index in range(1, 14):
        x = _convs(x, index, index, builder)
        if index in STAGE_ENDS[:-1] or (index == 12 and images.shape[1] > 32):
            x = pool(x, 2, f"pool{index}")
    x = layers.GlobalMaxPooling2D(name="pool13")(x)
    x = builder.drop(x, 0.5, "classifier_dropout")
    x = builder.head(builder.dense(x, builder.channels(512), "classifier_hidden"), "classifier_head")
    return {"logits": builder.classifier(x, num_classes)}


def _global_average_pooling(images, builder: Builder, num_classes: int) -> dict:
    """VGG-GAP: the trunk, averaged over its 8x8 map. Which two pools the official one has is not certain."""
    x = layers.GlobalAveragePooling2D(name="average_pool")(trunk(images, builder)["conv13"])
    return {"logits": builder.classifier(x, num_classes)}


def _progressive_attention(images, builder: Builder, num_classes: int) -> dict:
    """VGG-PAN: a gate on conv10, whose map feeds the rest, attention on conv13
    (`2_level_atten_higherlevel_PAN`)."""
    local = _to_conv10(_convs(images, 1, 7, builder), builder)
    start = builder.score()
    g = global_branch(local, builder, "conv10")
    scores = CompatibilityScore("pc", name="scores_conv10", **start)(local, g)
    gated, gate = ProgressiveGate(name="gate_conv10")(local, scores)
    local = _convs(pool(gated, 2, "pool10"), 11, 13, builder)
    g = global_branch(local, builder)
    scores = CompatibilityScore("pc", name="scores_conv13", **start)(local, g)
    descriptor, attention = AttentionPool(name=f"{POOL}conv13")(local, scores)
    logits = builder.classifier(builder.head(descriptor, "head_conv13"), num_classes)
    return {"logits": logits, "attention_conv10": gate, "attention_conv13": attention}


WITHOUT_ATTENTION = {"plain": _baseline, "gap": _global_average_pooling, "pan": _progressive_attention}
