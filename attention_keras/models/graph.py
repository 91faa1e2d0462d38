"""The graph of any backbone: its layers by path, and the same graph with outputs from inside it."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from attention_keras.errors import UserError


def functional(backbone: keras.Model) -> keras.Model:
    """A functional model of the same layers: `backbone` itself, or the graph of a Sequential.

    Raises:
        UserError: the model is no graph of layers, or nothing says how large its images are.
    """
    if not isinstance(backbone, keras.Model):
        raise UserError(f"backbone must be a keras.Model; got {type(backbone).__name__}")
    if isinstance(backbone, keras.Sequential):
        return _chain(backbone)
    if not hasattr(backbone, "operations"):
        raise UserError(
            f"the backbone {backbone.name!r} is a subclassed model, whose inside cannot be seen; give "
            "keras.Model(x, backbone(x)) with x = keras.Input(...), which has its output as a tap"
        )
    return backbone


def _chain(backbone: keras.Sequential) -> keras.Model:
    """A Sequential as a functional model. One that was never called takes the images its layers know."""
    if backbone.built:
        return keras.Model(backbone.inputs, backbone.outputs[0], name=backbone.name)
    shapes = [
        layer.input_shape for layer in backbone.layers if isinstance(layer, keras.Model) and layer.built
    ]
    if not shapes:
        raise UserError(
            f"the backbone {backbone.name!r} does not know the size of its images; begin it with "
            "keras.Input((height, width, 3))"
        )
    x = images = keras.Input(batch_shape=shapes[0])
    for layer in backbone.layers:
        x = layer(x)
    return keras.Model(images, x, name=backbone.name)


def all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Every layer, a nested model before the layers inside it."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)


def graph_tensors(model: keras.Model) -> dict[str, Any]:
    """Layer name -> its output in this model's graph, from the images on.

    A layer may have been called in other graphs too, so `layer.output` can be another graph's tensor. Of a
    layer that this graph calls twice, the later output counts.
    """
    tensors: dict[str, Any] = {}
    for node in graph_nodes(model):
        tensors.pop(node.operation.name, None)  # the later call stands later too
        tensors[node.operation.name] = operation_output(node)
    return tensors


def graph_nodes(model: keras.Model) -> Iterator[Any]:
    """The calls of this model's graph, each after those it depends on; those of its inputs first of all."""
    return nodes_between(model.inputs, model.outputs)


def nodes_between(inputs: Sequence[Any], outputs: Sequence[Any]) -> Iterator[Any]:
    """The calls that lead from `inputs` to `outputs`, each after those it depends on.

    Where something else than `inputs` leads there too, the calls of that are among them.
    """
    seen = set()
    waiting = [(tensor, False) for tensor in reversed(outputs)]
    while waiting:
        tensor, ready = waiting.pop()
        operation, node_index, _ = tensor._keras_history
        node = operation._inbound_nodes[node_index]
        if ready:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            waiting.append((tensor, True))
            if not any(tensor is image for image in inputs):
                waiting += [(source, False) for source in reversed(node.input_tensors)]


def operation_output(node):
    """What the operation of a node returns: a tensor, or several in a list."""
    tensors = list(node.output_tensors)
    return tensors[0] if len(tensors) == 1 else tensors


def open_taps(backbone: keras.Model, paths: Sequence[str]) -> tuple[keras.Model, dict[str, Any]]:
    """The backbone as a functional model, and the outputs of some of its layers in that graph.

    A path names a layer, or goes through nested models: `mobilenetv2/block_13_expand_relu`. A nested
    model with a tap inside is called again, with the tap as one more output; its layers stay the same.

    Raises:
        UserError: no layer has that path; the message names the closest.
    """
    model = functional(backbone)
    tensors = graph_tensors(model)
    nested = {path.split("/")[0] for path in paths if path not in tensors and "/" in path}
    if not nested:
        return model, {path: _lookup(tensors, path, model) for path in paths}
    for name in nested:
        if not isinstance(_layer(model, name), keras.Model):
            raise UserError(
                f"the layer {name!r} of the backbone is no model; a path goes through nested models"
            )
    inside: dict[str, Any] = {}
    opened: dict[str, keras.Model] = {}  # once each, also where the graph calls a model twice

    def call(layer, *args, **kwargs):
        if layer.name not in nested:
            return layer(*args, **kwargs)
        below = f"{layer.name}/"
        wanted = list(dict.fromkeys(path.removeprefix(below) for path in paths if path.startswith(below)))
        if layer.name not in opened:
            inner, taps = open_taps(layer, wanted)
            opened[layer.name] = keras.Model(
                inner.inputs, [inner.output, list(taps.values())], name=layer.name
            )
        output, found = opened[layer.name](*args, **kwargs)
        inside.update(zip((below + path for path in wanted), found))
        return output

    again = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    tensors = graph_tensors(again) | inside
    return again, {path: _lookup(tensors, path, model) for path in paths}


def _layer(model: keras.Model, name: str):
    layers = {layer.name: layer for layer in model.layers}
    _lookup(layers, name, model)
    return layers[name]


def _lookup(tensors: dict[str, Any], path: str, model: keras.Model):
    if path in tensors:
        return tensors[path]
    names = list(layer_paths(model))
    close = difflib.get_close_matches(path, names, n=3, cutoff=0.3) or names[-3:]
    raise UserError(f"the backbone has no layer {path!r}; the closest names are {', '.join(close)}")


def layer_paths(model: keras.Model) -> dict[str, Any]:
    """Path -> output of every layer, through nested models, from the images on."""
    paths: dict[str, Any] = {}
    layers = {layer.name: layer for layer in model.layers}
    for name, tensor in graph_tensors(model).items():
        inner = layers.get(name)
        if isinstance(inner, keras.Model) and hasattr(inner, "operations"):
            paths |= {f"{name}/{path}": inside for path, inside in layer_paths(functional(inner)).items()}
        paths[name] = tensor
    return paths
