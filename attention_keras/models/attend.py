"""attend(): attention and a classifier on any backbone."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from attention_keras.errors import UserError
from attention_keras.models.blocks import GLOBAL_FEATURES
from attention_keras.models.classifier import Activation, Classifier
from attention_keras.models.copies import copy_model
from attention_keras.models.heads import Head, chosen_head
from attention_keras.models.outputs import GLOBAL
from attention_keras.models.pretrained import needed_preprocessing, preprocessing_layer
from attention_keras.models.readout import activation_of
from attention_keras.models.taps import averaged_map, find_taps, global_features, local_features

logger = logging.getLogger("attention_keras")


def attend(
    backbone: keras.Model,
    taps: Sequence[str] | Mapping[str, Any] | str = "auto",
    num_classes: int | None = None,
    *,
    preprocess: str | keras.layers.Layer | None = None,
    head: Head | str = "class",
    activation: Activation | None = None,
    copy: bool = False,
    name: str | None = None,
) -> Classifier:
    """A classifier that attends to feature maps of `backbone`.

    By default, for a trained backbone, this is class attention beside a linear probe of the averaged top
    (`attention_keras.heads.ClassHead`): no worse than the probe where objects fill the frame, and much better
    where they are small. Give `fit` validation data, or call `weigh`, so that held-out images say how much
    the two count. The paper's heads compare local features with g, and classify their attention-weighted sum,
    the descriptor (paper, section 3). The model is made of the backbone's own layers: weights and `trainable`
    flags are shared, so `backbone.trainable = False`, before or after, freezes them here too.

    Args:
        backbone: a functional or Sequential model, images in; layers of it may be models themselves.
        taps: paths of layers whose outputs are attended to, such as `mobilenetv2/block_13_expand_relu` in a
            nested model; a mapping from names of your choice to paths or tensors of the backbone's graph; or
            `"auto"`, the last layer of the deepest resolution, for heads other than `class` of the two
            deepest. Outputs are maps `(b, h, w, c)`, also with channels first, or tokens `(b, n, c)`.
        num_classes: k.
        preprocess: what is done to raw pixels in [0, 255] before the backbone: a layer, or the name of an
            application such as `"ResNet50"`, whose `preprocess_input` goes into the graph, or `"imagenet"`
            (mean and deviation, as Torch's networks expect). None for nothing.
        head: `class`, `linear` or `paper`, or an object with settings of its own, such as `LinearHead("dp")`.
        activation: what makes probabilities of the logits, which the model gives all the same: `softmax` over
            the classes, a `sigmoid` for each class (tags), or nothing, `linear`. None for a softmax, and of
            one class a sigmoid.
        copy: of copies of the backbone's layers, with the same weights and flags.
        name: of the model.

    Returns:
        A `Classifier` with outputs `logits` `(b, k)`, `attention_<tap>` `(b, h, w)` for each tap, with the
        class head that of the predicted class, and `level_logits` `(b, L, k)` of a head of several
        classifiers (`class`, `indep`). All float32.

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
    if num_classes is None:
        raise UserError("say how many classes there are: attend(backbone, num_classes=5)")
    make_outputs = chosen_head(head)
    model, local, g = find_taps(backbone, taps, make_outputs.global_features, make_outputs.levels)
    pixels = preprocessing_layer(preprocess, model.inputs[0].shape[1:])
    if preprocess is None and (application := needed_preprocessing(model)):
        logger.warning("attend: %s takes prepared pixels; say preprocess=%r", model.name, application)
    images, (local, g) = _place(model, (local, _map_or_vector(g)), pixels, copy)
    if isinstance(g, Mapping):
        g = {tap: global_features(tensor, f"{GLOBAL_FEATURES}_{tap}") for tap, tensor in g.items()}
    elif g is not None and len(g.shape) != 4:
        g = global_features(g, GLOBAL_FEATURES)
    activation = activation or ("softmax" if num_classes > 1 else "sigmoid")
    return Classifier(images, make_outputs(local, g, num_classes), name=name, activation=activation)


def _map_or_vector(g):
    """The map `(b, h, w, c)` that g averages, where it does; else g. Several outputs of a backbone are no
    g."""
    if isinstance(g, Mapping):
        return dict(g)
    g, *more = keras.tree.flatten(g)
    if more:
        return None
    if activation_of(g) is not None:
        raise UserError(
            f"the backbone ends in its classifier, {g.shape[-1]} probabilities; build it with "
            "include_top=False, or say which layer is g with LinearHead(global_features=...)"
        )
    found = averaged_map(g)
    return g if found is None else local_features(found, GLOBAL)


def _place(model: keras.Model, features, pixels: keras.layers.Layer | None, copy: bool):
    """Images, and the tensors in `features` made from them: copied or not, behind `pixels` or not."""
    images = model.inputs[0] if len(model.inputs) == 1 else model.input
    if pixels is None and not copy:
        return images, features
    if len(model.inputs) != 1 and pixels is not None:
        raise UserError("preprocess= is for backbones with one input; put the layer into the backbone")
    # A tensor that stands in `features` twice is an output once; None stays None.
    tensors = {id(tensor): tensor for tensor in keras.tree.flatten(features) if tensor is not None}
    part = keras.Model(images, list(tensors.values()), name=model.name)
    if copy:
        part = copy_model(part)
    images, outputs = part.inputs[0] if len(part.inputs) == 1 else part.input, part.outputs
    if pixels is not None:
        images = keras.Input(images.shape[1:], dtype="float32", name="images")
        outputs = keras.tree.flatten(part(pixels(images)))
    placed = dict(zip(tensors, outputs))
    return images, keras.tree.map_structure(lambda tensor: placed.get(id(tensor)), features)
