"""A network taken apart: its frozen part and its head, the branch of g, and what it costs."""

import math
from collections.abc import Sequence

import keras

from attention_keras.errors import UserError
from attention_keras.layers.attention_pool import AttentionPool
from attention_keras.layers.compatibility import CompatibilityScore
from attention_keras.layers.normalization import Standardize
from attention_keras.models.blocks import GLOBAL_FEATURES
from attention_keras.models.classifier import Classifier
from attention_keras.models.graph import all_layers, graph_nodes, node_of, rerun
from attention_keras.models.outputs import ATTENTION


def split_frozen(model: Classifier) -> tuple[keras.Model, Classifier]:
    """The model in two: what no trained weight has a part in, from images to features, and the rest.

    The features are the inputs of the rest, which has those outputs of the model that training changes. Both
    share their layers with the model, so training the rest trains it.
    """
    images = {id(tensor) for tensor in model.inputs}
    constant, features = set(images), {}
    for node in graph_nodes(model):
        operation, sources = node.operation, node.input_tensors
        learns = isinstance(operation, Standardize) and operation.trainable
        learns = learns or getattr(operation, "trainable_variables", [])
        if not learns and all(id(source) in constant for source in sources):
            constant |= {id(tensor) for tensor in node.output_tensors}
        else:
            features |= {id(source): source for source in sources if id(source) in constant}
    if not features or images & features.keys():
        raise UserError(f"no part of {model.name} that begins with the images is frozen")
    tensors = list(features.values())
    outputs = {name: tensor for name, tensor in model.output.items() if id(tensor) not in constant}
    frozen = keras.Model(model.input, tensors, name="features")
    return frozen, Classifier(tensors, outputs, name=f"{model.name}_head")


def frozen_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that are not trained, also those of nested models."""
    return [layer for layer in all_layers(model) if not layer.trainable]


def thaw(layers: Sequence[keras.layers.Layer]) -> None:
    """Train these layers, but leave batch normalisation as it is: small batches have poor statistics."""
    for layer in layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)


def global_model(model: keras.Model) -> keras.Model:
    """images -> g `(b, d)`, the global features of an attention model; several branches have no single g."""
    names = [layer.name for layer in model.layers if layer.name.startswith(GLOBAL_FEATURES)]
    if names != [GLOBAL_FEATURES]:
        have = f"has {', '.join(names)}" if names else "has none"
        raise UserError(f"{model.name} needs one global feature vector to be questioned; it {have}")
    return keras.Model(model.input, model.get_layer(GLOBAL_FEATURES).output)


def query_model(model: keras.Model) -> keras.Model:
    """(images, g) -> attention: where g is found in the images. With pc and a softmax g has no effect on
    it."""
    attention = {name: tensor for name, tensor in model.output.items() if name.startswith(ATTENTION)}
    if not attention:
        raise UserError(f"{model.name} has no attention to question")
    return keras.Model([model.input, global_model(model).output], attention)


def prune_dead_branch(model: keras.Model) -> keras.Model:
    """The same model without the global features that a softmax over pc scores cancels, or itself.

    <u, l_i + g> = <u, l_i> + <u, g>, and <u, g> is the same at every position: g, and every layer that only g
    needs, change nothing. Outputs are equal to rounding, with about a quarter fewer parameters.
    """

    def without_g(layer, args, kwargs):
        if isinstance(layer, AttentionPool) and layer.normalization == "softmax":
            features, scores = args
            score = node_of(scores)
            if isinstance(score.operation, CompatibilityScore) and score.operation.compat == "pc":
                return layer(features, score.operation(score.input_tensors[0]))
        return None

    tensors = rerun(model, without_g)
    # A functional model keeps only the layers that its outputs need, so the dead ones fall away here.
    outputs = keras.tree.map_structure(lambda tensor: tensors[id(tensor)], model.output)
    if all(new is old for new, old in zip(keras.tree.flatten(outputs), keras.tree.flatten(model.output))):
        return model
    if isinstance(model, Classifier):
        return model.like(model.input, outputs)
    return keras.Model(model.input, outputs, name=model.name)


def count_parameters(model: keras.Model) -> int:
    """Trainable parameters, as the paper counts them."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def count_macs(model: keras.Model) -> int:
    """Multiply-adds of one forward pass of one image."""
    return sum(_layer_macs(layer) for layer in all_layers(model))


def _layer_macs(layer) -> int:
    kinds = keras.layers
    if isinstance(layer, kinds.DepthwiseConv2D | kinds.Conv2D | kinds.SeparableConv2D):
        kernels = [weight for weight in layer.weights if len(weight.shape) == 4]
        return math.prod(layer.output.shape[1:3]) * sum(math.prod(kernel.shape) for kernel in kernels)
    if isinstance(layer, kinds.Dense):  # of images of any size: for one place
        return math.prod(layer.kernel.shape) * math.prod(side or 1 for side in layer.output.shape[1:-1])
    if isinstance(layer, AttentionPool) or getattr(layer, "compat", "mean") != "mean":
        return math.prod(layer.input[0].shape[1:])
    return 0
