"""attend(): attention and a linear classifier on any backbone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from attention_keras.errors import UserError
from attention_keras.models.blocks import GLOBAL_FEATURES, Builder
from attention_keras.models.classifier import Classifier
from attention_keras.models.copy_weights import copy_model
from attention_keras.models.graph import nodes_between
from attention_keras.models.heads import AttentionHead
from attention_keras.models.initializers import InitScheme
from attention_keras.models.outputs import GLOBAL
from attention_keras.models.preprocessing import preprocessing_layer
from attention_keras.models.taps import averaged_map, find_taps, local_features
from attention_keras.models.taps import global_features as as_global_features


def attend(
    backbone: keras.Model,
    taps: Sequence[str] | Mapping[str, Any] | str,
    num_classes: int,
    *,
    preprocess: str | keras.layers.Layer | None = None,
    trainable_backbone: bool | None = None,
    global_features: Any = None,
    head: str = "linear",
    compat: str = "scaled",
    normalization: str = "softmax",
    local_norm: str | None = None,
    aggregate: str = "concat",
    project: str = "down",
    include_global: bool | None = None,
    head_dropout: float | None = None,
    builder: Builder | None = None,
    name: str | None = None,
) -> keras.Model:
    """A classifier that attends to feature maps of `backbone`.

    At each tap it computes scores of the local features against g, the attention, and the descriptor, the
    attention-weighted sum of the local features (paper, section 3).

    By default, local features are normalised over the map of an image, the score is `scaled`, and one linear
    classifier sees the descriptors and the average of g's map. On photographs with a frozen backbone this
    errs as often as a linear probe of the averaged top; without the average, attention costs or gains by the
    taps it is given (docs/backbones.md). Of the normalisations that do as well, this one puts the least
    attention on empty background. With normalisation at each position, a black wall is as strong as the
    guitar in front of it.

    Args:
        backbone: a functional or Sequential model, images in; layers of it may be models themselves.
        taps: paths of layers whose outputs are attended to; a mapping from names of your choice to paths or
            to tensors of the backbone's graph; or `"auto"`, the last layers of the two deepest resolutions,
            which the logger `attention_keras` names. A path into a nested model is
            `mobilenetv2/block_13_expand_relu`, and its tap is called by the last part. Outputs are
            maps `(b, h, w, c)`, maps of layers with channels first, or tokens `(b, n, c)` of a square map,
            with or without class token.
        num_classes: k.
        preprocess: what is done to raw pixels in [0, 255] before the backbone: a layer, or the name of an
            application such as `"ResNet50"`, whose `preprocess_input` goes into the graph, or `"imagenet"`
            (mean and deviation, as Torch's networks expect). None for nothing.
        trainable_backbone: None makes the model of the backbone's own layers: weights and `trainable` flags
            are shared, so `backbone.trainable = False` freezes them here too, before or after. True and
            False make it of copies with the same weights, all trainable or all frozen; the backbone and other
            models of its layers stay as they are.
        global_features: g: a path, a tensor of the backbone's graph, or a mapping with one of these for each
            tap; `(b, d)`, or what is averaged to that. By default the backbone's output: averaged over its
            map, or its class token.
        head: `linear`, or `paper`: local features as they are, and BN -> ReLU -> dropout after pooling.
        compat: the score: `scaled`, `dp`, `pc`, `additive` or `mean` (see CompatibilityScore).
        normalization: scores to attention: `softmax` or `sigmoid` (see AttentionPool).
        local_norm: local features are normalised over an `image`'s map (`head="linear"` by default), at each
            `position`, for each `channel` over the batch, or not at all, `none` (`head="paper"` by default).
        aggregate: `concat`: one classifier on all descriptors; `indep`: one for each, probabilities averaged.
        project: `down`: g is mapped to the c channels of a tap by a linear layer; `up`: the local features
            to the width d of g. With `head="paper"` only where the widths differ.
        include_global: the average of the map that g is averaged from is one more input of the classifier,
            and evidence has that map as `evidence_global`. None does so where it can be done: with the linear
            head, with `concat`, where g is the average of a map and not a class token. False lets the
            classifier see nothing but what is attended to.
        head_dropout: rate before the classifier, with `head="paper"`; 0.5 by default.
        builder: initialisers and dropout; Keras-style by default.
        name: of the model.

    Returns:
        A `Classifier`, which `compile` and `fit` train directly, with outputs `logits` `(b, k)`,
        `attention_<tap>` `(b, h, w)` for each tap, and for `indep` `level_logits` `(b, L, k)`. All float32.

    Raises:
        UserError: an unknown tap (the closest names are given), a tap that is not a map, no g, a subclassed
            backbone, or a value that is not allowed.

    Example:
        >>> mobilenet = keras.applications.MobileNetV2
        >>> backbone = mobilenet(include_top=False, weights=None, input_shape=(32, 32, 3))
        >>> taps = ["block_6_expand_relu", "block_13_expand_relu"]
        >>> model = attend(backbone, taps, num_classes=5, preprocess="MobileNetV2")
        >>> model.output["attention_block_6_expand_relu"].shape
        (None, 4, 4)
    """
    make_outputs = AttentionHead(head, compat, normalization, local_norm, aggregate, project, head_dropout)
    model, local, g = find_taps(backbone, taps, global_features)
    several = g if isinstance(global_features, Mapping) else {}
    pixels = preprocessing_layer(preprocess, model.inputs[0].shape[1:])
    if several and set(several) != set(local):
        raise UserError(
            f"global_features has {', '.join(several)}; one g for each of {', '.join(local)} is needed"
        )
    averaged = None if include_global is False or several else _averaged(g, make_outputs, local)
    if include_global and averaged is None:
        raise UserError(
            "include_global=True needs head='linear', aggregate='concat', and as g the average of one map"
        )
    queries = several
    if not several and compat != "mean":
        queries = {GLOBAL_FEATURES: _only(g) if averaged is None else averaged}
    images, (local, queries, averaged) = _place(model, (local, queries, averaged), pixels, trainable_backbone)
    local = {tap: local_features(tensor, tap) for tap, tensor in local.items()}
    if several:
        queries = {tap: as_global_features(g, f"{GLOBAL_FEATURES}_{tap}") for tap, g in queries.items()}
    else:
        g = as_global_features(queries[GLOBAL_FEATURES], GLOBAL_FEATURES) if queries else None
        queries = dict.fromkeys(local, g)
    if averaged is not None:
        averaged = local_features(averaged, GLOBAL)
    builder = builder or Builder(init=InitScheme("keras"))
    outputs = make_outputs(local, queries, num_classes, builder, averaged)
    _refuse_equal_names(keras.tree.flatten(images), list(outputs.values()))
    return Classifier(images, outputs, name=name)


def _refuse_equal_names(images: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Keras wants every layer of a graph to have a name of its own, and the backbone's come from outside."""
    layers = {id(node.operation): node.operation.name for node in nodes_between(images, outputs)}
    counts = Counter(layers.values())
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise UserError(
            f"the backbone has a layer called {twice[0]!r}, and so has the part that attend() adds to it; "
            "give the backbone's layer another name"
        )


def _averaged(g, head: AttentionHead, local: Mapping[str, Any]):
    """The map whose average the classifier sees too, or None where it sees none."""
    tensors = keras.tree.flatten(g)
    if head.head != "linear" or head.aggregate != "concat" or len(tensors) != 1:
        return None
    if GLOBAL in local:
        raise UserError(f"{GLOBAL!r} is the name of the averaged map; call the tap otherwise")
    return averaged_map(tensors[0])


def _only(output):
    """The one tensor of an output."""
    tensors = keras.tree.flatten(output)
    if len(tensors) != 1:
        raise UserError("the backbone has several outputs; say which is g with global_features=")
    return tensors[0]


def _place(model: keras.Model, features, pixels: keras.layers.Layer | None, trainable: bool | None):
    """Images, and the tensors in `features` made from them: copied or not, behind `pixels` or not.

    None stays None.
    """
    if pixels is None and trainable is None:
        return model.inputs[0] if len(model.inputs) == 1 else model.input, features
    # A tensor that stands in `features` twice is an output once.
    tensors = {id(tensor): tensor for tensor in keras.tree.flatten(features) if tensor is not None}
    part = keras.Model(model.input, list(tensors.values()), name=model.name)
    if trainable is not None:
        own = {layer.name for layer in model.layers}
        part = copy_model(part)
        for layer in part.layers:
            if layer.name in own:  # not what the user has built on the backbone's graph
                layer.trainable = trainable
    if pixels is None:
        images, outputs = part.inputs[0] if len(part.inputs) == 1 else part.input, part.outputs
    elif len(part.inputs) != 1:
        raise UserError("preprocess= is for backbones with one input; put the layer into the backbone")
    else:
        images = keras.Input(part.inputs[0].shape[1:], dtype="float32", name="images")
        outputs = keras.tree.flatten(part(pixels(images)))
    placed = dict(zip(tensors, outputs))
    return images, keras.tree.map_structure(lambda tensor: placed.get(id(tensor)), features)
