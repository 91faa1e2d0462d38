"""A network with a frozen part: where that part ends, and how it is thawed."""

from collections.abc import Sequence

import keras

from attention_keras.errors import UserError
from attention_keras.layers.standardize import Standardize
from attention_keras.models.classifier import Classifier
from attention_keras.models.graph import all_layers, graph_nodes


def split_frozen(model: Classifier) -> tuple[keras.Model, Classifier]:
    """The model in two: what training does not change, from images to features, and the rest.

    The frozen part is everything that depends on images alone and on no weight that is trained: a backbone
    with `trainable = False`, and what is pooled from it. Its outputs, the features, are the inputs of the
    rest, which has those outputs of the model that training changes. Both share their layers with the model,
    so training the rest trains it.
    """
    images = {id(tensor) for tensor in model.inputs}
    constant, features = set(images), {}
    for node in graph_nodes(model):
        if not node.input_tensors:
            continue
        sources = node.input_tensors
        operation = node.operation
        trained = getattr(operation, "trainable_variables", [])
        learns = trained or (isinstance(operation, Standardize) and operation.trainable)
        if not learns and all(id(source) in constant for source in sources):
            constant |= {id(tensor) for tensor in node.output_tensors}
        else:
            features |= {id(source): source for source in sources if id(source) in constant}
    if not features or images & features.keys():
        raise UserError(f"no part of {model.name} that begins with the images is frozen")
    tensors = list(features.values())
    outputs = {name: tensor for name, tensor in model.output.items() if id(tensor) not in constant}
    return (
        keras.Model(model.input, tensors, name="features"),
        Classifier(tensors, outputs, name=f"{model.name}_head"),
    )


def frozen_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that are not trained, also those of nested models."""
    return [layer for layer in all_layers(model) if not layer.trainable]


def thaw(layers: Sequence[keras.layers.Layer]) -> None:
    """Train these layers, but leave batch normalisation as it is, statistics, scale and offset.

    Batches of fine-tuning are small, and their statistics would take those of a million images apart
    (keras.io, guide "Transfer learning and fine-tuning").
    """
    for layer in layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
