"""The global features of a network: asked of other images, and left out where they have no effect."""

import keras

from attention_keras.errors import UserError
from attention_keras.layers.attention_pool import AttentionPool
from attention_keras.layers.compatibility import CompatibilityScore
from attention_keras.models.blocks import GLOBAL_FEATURES
from attention_keras.models.classifier import Classifier
from attention_keras.models.graph import node_of, rerun
from attention_keras.models.outputs import ATTENTION


def global_model(model: keras.Model) -> keras.Model:
    """images -> g `(b, d)`, the global features of an attention model."""
    return keras.Model(model.input, _global_features(model))


def query_model(model: keras.Model) -> keras.Model:
    """(images, g) -> attention `{attention_<tap>: (b, h, w)}`: where g is found in the images.

    With dp (and additive, or a sigmoid) another image's g moves the map; with pc under a softmax g has
    no effect on it (paper, section 5.5; `ExtraCoseg` of the official code uses dp).
    """
    attention = {name: tensor for name, tensor in model.output.items() if name.startswith(ATTENTION)}
    if not attention:
        raise UserError(f"{model.name} has no attention to question")
    return keras.Model([model.input, _global_features(model)], attention)


def _global_features(model: keras.Model):
    """The tensor g; several global branches have no single g to exchange."""
    names = [layer.name for layer in model.layers if layer.name.startswith(GLOBAL_FEATURES)]
    if names != [GLOBAL_FEATURES]:
        have = f"has {', '.join(names)}" if names else "has none"
        raise UserError(f"{model.name} needs one global feature vector to be questioned; it {have}")
    return model.get_layer(GLOBAL_FEATURES).output


def prune_dead_branch(model: keras.Model) -> keras.Model:
    """The same model without the global features that a softmax over pc scores cancels.

    <u, l_i + g> = <u, l_i> + <u, g>, and <u, g> is the same at every position, so the softmax over the
    map removes it: g, and every layer that only g needs, changes nothing. The pruned model shares the
    remaining layers, gives equal outputs (to rounding, about 1e-7) and has about a quarter fewer
    parameters. Models with nothing to prune come back as they are.
    """
    pruned = False

    def without_g(layer, args, kwargs):
        nonlocal pruned
        if not isinstance(layer, AttentionPool) or layer.normalization != "softmax":
            return None
        features, scores = args
        score = node_of(scores)
        if not isinstance(score.operation, CompatibilityScore) or score.operation.compat != "pc":
            return None
        pruned = True
        return layer(features, score.operation(score.input_tensors[0]))

    tensors = rerun(model, without_g)
    if not pruned:
        return model
    # A functional model keeps only the layers that its outputs need, so the dead ones fall away here.
    outputs = keras.tree.map_structure(lambda tensor: tensors[id(tensor)], model.output)
    if isinstance(model, Classifier):
        return model.like(model.input, outputs)
    return keras.Model(model.input, outputs, name=model.name)
