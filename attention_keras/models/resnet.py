"""RN-164, the pre-activation bottleneck ResNet of the paper, and what attention needs from it."""

from keras import layers

from attention_keras.models.blocks import GLOBAL_FEATURES, Builder, pool

UNITS = 18
STAGE_WIDTHS = (64, 128, 256)
TAPS = ("stage1", "stage2", "stage3")
HEAD_DROPOUT = 0.3


def trunk(images, builder: Builder, levels: int = 2) -> dict:
    """First convolution and three stages of 18 bottleneck units (`models/resnet-pre-act.lua`)."""
    x, taps = builder.conv(images, builder.channels(16), "stem", bias=False), {}
    for stage, width in enumerate(STAGE_WIDTHS, start=1):
        for unit in range(1, UNITS + 1):
            name = f"stage{stage}" if unit == UNITS else f"stage{stage}_unit{unit}"
            stride = 2 if unit == 1 and stage > 1 else 1
            x = _unit(x, builder, builder.channels(width), stride, unit == 1, name)
        taps[f"stage{stage}"] = x
    return taps


def _unit(x, builder: Builder, channels: int, stride: int, widens: bool, name: str):
    """BN-ReLU-1x1-BN-ReLU-3x3-BN-ReLU-1x1 beside the identity; a stage's first unit has a 1x1 shortcut from
    the same pre-activation. The sum carries the unit's name."""
    active = builder.norm_relu(x, f"{name}_relu1")
    narrow = max(1, channels // 4)
    shortcut = builder.conv(active, channels, f"{name}_shortcut", 1, stride, bias=False) if widens else x
    y = builder.conv(active, narrow, f"{name}_conv1", 1, stride, bias=False)
    y = builder.conv(builder.norm_relu(y, f"{name}_relu2"), narrow, f"{name}_conv2", bias=False)
    y = builder.conv(builder.norm_relu(y, f"{name}_relu3"), channels, f"{name}_conv3", 1, bias=False)
    return layers.Add(name=name)([y, shortcut])


def global_branch(x, builder: Builder, tap: str = "stage3"):
    """From stage3 `(b, 8, 8, 256)` to g `(b, 256)` (`models/Resnet-att2`)."""
    channels = builder.channels(256)
    x = pool(builder.norm_relu(x, "global_relu"), 2, "global_pool")
    x = builder.conv_block(x, channels, "global", 0.4)
    x = layers.GlobalMaxPooling2D(name="global_max")(x)
    return builder.dense(builder.drop(x, 0.5, "global_dropout2"), channels, GLOBAL_FEATURES)


def _baseline(images, builder: Builder, num_classes: int) -> dict:
    """RN-164: the trunk, BN-ReLU, average pool, linear."""
    x = builder.norm_relu(trunk(images, builder)["stage3"], "final_relu")
    x = layers.GlobalAveragePooling2D(name="average_pool")(x)
    return {"logits": builder.classifier(x, num_classes)}


WITHOUT_ATTENTION = {"plain": _baseline}
