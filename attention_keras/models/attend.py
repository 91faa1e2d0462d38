"""attend(): attention and a classifier on the feature maps of any functional Keras model."""

import difflib

import keras
from keras import layers

from attention_keras.errors import UserError
from attention_keras.layers.attention_pool import AttentionPool
from attention_keras.layers.compatibility import CompatibilityScore
from attention_keras.layers.ensemble import LevelEnsemble
from attention_keras.models.vgg import Builder, head

GLOBAL_NAME = "global_features"


def attend(
    backbone: keras.Model,
    taps,
    num_classes: int,
    *,
    compat: str = "dp",
    normalization: str = "softmax",
    aggregate: str = "concat",
    project: str = "down",
    global_features=None,
    builder: Builder | None = None,
    head_dropout: float = 0.5,
    trainable_backbone: bool = True,
    name: str | None = None,
) -> keras.Model:
    """A model that classifies by what it attends to in the backbone's feature maps."""
    builder = builder or Builder()
    backbone.trainable = trainable_backbone
    local = dict(_tap(backbone, tap) for tap in taps)
    if global_features is None:
        output = backbone.output if not isinstance(backbone.output, (list, tuple, dict)) else None
        if output is None:
            raise UserError("global_features is needed for a backbone with several outputs")
        x = layers.GlobalAveragePooling2D(name="global_pool")(output) if len(output.shape) == 4 else output
        global_features = layers.Identity(name=GLOBAL_NAME)(x)
    descriptors, outputs = {}, {}
    for key, features in local.items():
        g = global_features[key] if isinstance(global_features, dict) else global_features
        descriptors[key], outputs[f"attention_{key}"] = _attention(
            features, g, key, builder, compat, normalization, project
        )
    heads = [head(d, builder, f"head_{key}", head_dropout) for key, d in descriptors.items()]
    outputs = classify(heads, list(descriptors), builder, num_classes, aggregate) | outputs
    return keras.Model(backbone.input, outputs, name=name)


def _attention(features, g, key, builder: Builder, compat, normalization, project):
    channels = features.shape[-1]
    if compat != "mean" and g.shape[-1] != channels:
        if project == "down":
            x = head(g, builder, f"project_{key}")
            g = builder.dense(x, channels, f"project_{key}")
        else:
            features = layers.Conv2D(g.shape[-1], 1, name=f"project_{key}", **builder.init.conv())(features)
            g = head(g, builder, f"project_{key}")
    scores = CompatibilityScore(compat, name=f"scores_{key}", **builder.init.score())(features, g)
    return AttentionPool(normalization, name=f"pool_{key}")(features, scores)


def classify(heads: list, keys: list[str], builder: Builder, num_classes: int, aggregate: str) -> dict:
    """Classifier on the heads of all levels: `logits`, and `level_logits` for `indep`."""
    if aggregate == "indep" and len(heads) > 1:
        each = [
            builder.dense(x, num_classes, f"classifier_{key}", dtype="float32") for x, key in zip(heads, keys)
        ]
        levels, logits = LevelEnsemble(name="ensemble")(each)
        return {"logits": logits, "level_logits": levels}
    x = layers.Concatenate(name="descriptor")(heads) if len(heads) > 1 else heads[0]
    return {"logits": builder.dense(x, num_classes, "classifier", dtype="float32")}


def _tap(backbone: keras.Model, tap):
    """(name, feature map) of a tap given by layer name or as a tensor."""
    if not isinstance(tap, str):
        return getattr(tap, "name", "tap").split("/")[0], tap
    names = [layer.name for layer in backbone.layers]
    if tap not in names:
        close = difflib.get_close_matches(tap, names, n=3) or names[-3:]
        raise UserError(f"the backbone has no layer {tap!r}; the closest are {', '.join(close)}")
    return tap, backbone.get_layer(tap).output
