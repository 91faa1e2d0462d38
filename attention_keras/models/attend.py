"""attend(): attention, and a classifier that sees nothing else, on any functional Keras model."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers

from attention_keras.errors import UserError
from attention_keras.layers.attention_pool import AttentionPool
from attention_keras.layers.compatibility import CompatibilityScore
from attention_keras.layers.ensemble import LevelEnsemble
from attention_keras.models.blocks import GLOBAL_FEATURES, Builder
from attention_keras.models.classifier import Classifier
from attention_keras.models.initializers import InitScheme


def attend(
    backbone: keras.Model,
    taps: Sequence[str] | Mapping[str, Any],
    num_classes: int,
    *,
    compat: str = "dp",
    normalization: str = "softmax",
    aggregate: str = "concat",
    project: str = "down",
    global_features=None,
    head_dropout: float = 0.5,
    trainable_backbone: bool = True,
    builder: Builder | None = None,
    name: str | None = None,
) -> keras.Model:
    """A classifier that attends to feature maps of `backbone`.

    At each tap: scores of the local features against g, attention, descriptor; the descriptors, each
    through BN -> ReLU -> dropout, are all that the classifier sees (paper, section 3).

    Args:
        backbone: a functional model, images in.
        taps: layer names whose outputs `(b, h, w, c)` are attended to, or a mapping from a name of
            your choice to a tensor of the backbone's graph.
        num_classes: k.
        compat: `dp`, `pc`, `additive` or `mean` (see CompatibilityScore).
        normalization: `softmax` or `sigmoid` (see AttentionPool).
        aggregate: `concat`: one classifier on all descriptors; `indep`: one for each, probabilities
            averaged.
        project: where c differs from the width d of g: `down` maps g to c channels, `up` maps the local
            features to d.
        global_features: g `(b, d)`, a tensor of the backbone's graph, or a mapping with one for each tap;
            by default the backbone's output, averaged over its map.
        head_dropout: rate before the classifier.
        trainable_backbone: False trains attention and classifier only.
        builder: initialisers and dropout; Keras-style by default.
        name: of the model.

    Returns:
        A `Classifier`, which `compile` and `fit` train directly, with outputs `logits` `(b, k)`,
        `attention_<tap>` `(b, h, w)` for each tap, and for `indep` `level_logits` `(b, L, k)`. All float32.

    Raises:
        UserError: an unknown tap (the closest names are given), a tap that is no feature map, or no g.

    Example:
        >>> mobilenet = keras.applications.MobileNetV2
        >>> backbone = mobilenet(include_top=False, weights=None, input_shape=(32, 32, 3))
        >>> model = attend(backbone, ["block_6_expand_relu", "block_13_expand_relu"], num_classes=5)
        >>> model.output["attention_block_6_expand_relu"].shape
        (None, 4, 4)
    """
    builder = builder or Builder(init=InitScheme("keras"))
    backbone.trainable = trainable_backbone
    local = dict(taps) if isinstance(taps, Mapping) else {tap: _tap(backbone, tap) for tap in taps}
    if not local:
        raise UserError("taps is empty; name at least one layer to attend to")
    for tap, features in local.items():
        if len(features.shape) != 4:
            raise UserError(f"tap {tap!r} has shape {features.shape}; a feature map (b, h, w, c) is needed")
    if compat == "mean":
        queries = dict.fromkeys(local)
    elif isinstance(global_features, Mapping):
        queries = dict(global_features)
    else:
        queries = dict.fromkeys(local, _global_features(backbone, global_features))
    heads, attention = {}, {}
    for tap, features in local.items():
        features, query = _agree(features, queries[tap], tap, project, builder)
        scores = CompatibilityScore(compat, name=f"scores_{tap}", **builder.init.score())
        descriptor, attention[f"attention_{tap}"] = AttentionPool(normalization, name=f"pool_{tap}")(
            features, scores(features, query)
        )
        heads[tap] = builder.head(descriptor, f"head_{tap}", head_dropout)
    outputs = _classify(heads, aggregate, num_classes, builder)
    images = backbone.inputs[0] if len(backbone.inputs) == 1 else backbone.input
    return Classifier(images, {**outputs, **attention}, name=name)


def _tap(backbone: keras.Model, tap: str):
    """The output of the layer `tap`."""
    if not isinstance(tap, str):
        raise UserError(f"taps are layer names, or a mapping from names to tensors; got {type(tap).__name__}")
    names = [layer.name for layer in backbone.layers]
    if tap not in names:
        close = difflib.get_close_matches(tap, names, n=3, cutoff=0.3) or names[-3:]
        raise UserError(f"the backbone has no layer {tap!r}; the closest names are {', '.join(close)}")
    return backbone.get_layer(tap).output


def _global_features(backbone: keras.Model, given):
    """g `(b, d)`, out of a layer named `global_features` so that it can be found again."""
    g = backbone.output if given is None else given
    if isinstance(g, (list, tuple, dict)):
        raise UserError("the backbone has several outputs; say which is g with global_features=")
    if len(g.shape) == 4:
        return layers.GlobalAveragePooling2D(name=GLOBAL_FEATURES)(g)
    if len(g.shape) != 2:
        raise UserError(f"global_features has shape {g.shape}; (b, d) is needed")
    if any(layer.name == GLOBAL_FEATURES and layer.output is g for layer in backbone.layers):
        return g
    return layers.Identity(name=GLOBAL_FEATURES)(g)


def _agree(features, query, tap: str, project: str, builder: Builder):
    """Local features and g with the same number of channels (section 3.1; `3_atten.lua`)."""
    if query is None or features.shape[-1] == query.shape[-1]:
        return features, query
    if project == "down":
        query = builder.head(query, f"project_head_{tap}")
        return features, builder.dense(query, features.shape[-1], f"project_{tap}")
    if project != "up":
        raise ValueError(f"project must be down or up; got {project!r}")
    features = builder.conv(features, query.shape[-1], f"project_{tap}", size=1)
    return features, builder.head(query, f"project_head_{tap}")


def _classify(heads: dict, aggregate: str, num_classes: int, builder: Builder) -> dict:
    """Logits from the heads of all levels."""
    if aggregate not in ("concat", "indep"):
        raise ValueError(f"aggregate must be concat or indep; got {aggregate!r}")
    if len(heads) == 1:
        return {"logits": builder.classifier(*heads.values(), num_classes)}
    if aggregate == "concat":
        descriptor = layers.Concatenate(name="descriptor")(list(heads.values()))
        return {"logits": builder.classifier(descriptor, num_classes)}
    each = [builder.classifier(head, num_classes, f"classifier_{tap}") for tap, head in heads.items()]
    level_logits, logits = LevelEnsemble(name="ensemble")(each)
    return {"logits": logits, "level_logits": level_logits}
