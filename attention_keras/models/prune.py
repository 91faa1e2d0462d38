"""Leaving out what has no effect: the global branch of softmaxed pc models."""

import keras

from attention_keras.layers.attention_pool import AttentionPool
from attention_keras.layers.compatibility import CompatibilityScore


def prune_dead_branch(model: keras.Model) -> keras.Model:
    """The same model without the global features that a softmax over pc scores cancels.

    <u, l_i + g> = <u, l_i> + <u, g>, and <u, g> is the same at every position, so the softmax over the
    map removes it: g, and every layer that only g needs, changes nothing. The pruned model shares the
    remaining layers, gives equal outputs (to rounding, about 1e-7) and has about a quarter fewer
    parameters. Models with nothing to prune come back as they are.

    Args:
        model: a functional model with CompatibilityScore and AttentionPool layers.

    Example:
        >>> from attention_keras import build_model
        >>> model = build_model("vgg-att2-concat-pc", width=0.0625)
        >>> 0.7 < prune_dead_branch(model).count_params() / model.count_params() < 0.8
        True
    """
    if not any(isinstance(layer, CompatibilityScore) and layer.compat == "pc" for layer in model.layers):
        return model
    # Scores made with g -> the layer and the local features to score without it.
    pc_scores = {}

    def call(layer, *args, **kwargs):
        if isinstance(layer, AttentionPool) and layer.normalization == "softmax":
            features, scores = args
            if id(scores) in pc_scores:
                score_layer, local_features = pc_scores[id(scores)]
                args = (features, score_layer(local_features))
        output = layer(*args, **kwargs)
        if isinstance(layer, CompatibilityScore) and layer.compat == "pc":
            pc_scores[id(output)] = (layer, args[0])
        return output

    # A functional model keeps only the layers its outputs need, so the dead ones fall away here.
    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
