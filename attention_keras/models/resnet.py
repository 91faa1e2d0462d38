"""RN-164, the pre-activation bottleneck ResNet of the paper, and what attention needs from it."""

from keras import layers

from attention_keras.errors import UserError
from attention_keras.models.blocks import GLOBAL_FEATURES, Builder, pool
from attention_keras.models.spec import ModelSpec

UNITS = 18
STAGE_WIDTHS = (64, 128, 256)
TAPS = ("stage1", "stage2", "stage3")
HEAD_DROPOUT = 0.3


def features(images, spec: ModelSpec, builder: Builder) -> tuple[dict, object]:
    """Local features by tap, and g."""
    if spec.globals == "per_level" and spec.levels > 1:
        raise UserError("rn164 has one global branch; globals per_level is for vgg")
    taps = _trunk(images, builder)
    g = _global_branch(taps["stage3"], builder)
    return {name: taps[name] for name in TAPS[-spec.levels :]}, g


def _trunk(images, builder: Builder) -> dict:
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


def _global_branch(x, builder: Builder):
    """From stage3 `(b, 8, 8, 256)` to g `(b, 256)` (`models/Resnet-att2`)."""
    channels = builder.channels(256)
    x = pool(builder.norm_relu(x, "global_relu"), 2, "global_pool")
    x = builder.conv_block(x, channels, "global", 0.4)
    x = layers.GlobalMaxPooling2D(name="global_max")(x)
    return builder.dense(builder.drop(x, 0.5, "global_dropout2"), channels, GLOBAL_FEATURES)


def _baseline(images, builder: Builder, num_classes: int) -> dict:
    """RN-164: the trunk, BN-ReLU, average pool, linear."""
    x = builder.norm_relu(_trunk(images, builder)["stage3"], "final_relu")
    x = layers.GlobalAveragePooling2D(name="average_pool")(x)
    return {"logits": builder.classifier(x, num_classes)}


def _high_resolution(images, builder: Builder, num_classes: int) -> dict:
    """The control: trunk and global branch of the attention models, classified by g, no attention."""
    g = _global_branch(_trunk(images, builder)["stage3"], builder)
    return {"logits": builder.classifier(builder.head(g, "head", HEAD_DROPOUT), num_classes)}


WITHOUT_ATTENTION = {"plain": _baseline, "hires": _high_resolution}
