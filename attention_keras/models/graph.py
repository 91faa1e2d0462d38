"""The graph of any model: its calls in order, its tensors by path, and tensors from inside nested models."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from attention_keras.errors import UserError


def functional(model: keras.Model) -> keras.Model:
    """A functional model of the same layers: `model` itself, or the graph of a Sequential."""
    if not isinstance(model, keras.Model):
        raise UserError(f"a keras.Model is needed; got {type(model).__name__}")
    if isinstance(model, keras.Sequential):
        if not model.built:  # it takes the images that a model in it knows
            parts = [layer for layer in model.layers if isinstance(layer, keras.Model) and layer.built]
            if not parts:
                raise UserError(
                    f"the model {model.name!r} does not know the size of its images; begin it with "
                    "keras.Input((height, width, 3))"
                )
            model.build(parts[0].input_shape)
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if is_graph(model):
        return model
    raise UserError(
        f"the model {model.name!r} is subclassed, and its inside cannot be seen; give "
        "keras.Model(x, model(x)) with x = keras.Input(...), which has its output as a tap"
    )


def is_graph(operation: Any) -> bool:
    """Whether an operation is a model whose inside can be seen."""
    built = isinstance(operation, keras.Sequential) and operation.built
    return built or (isinstance(operation, keras.Model) and hasattr(operation, "operations"))


def all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Every layer, a nested model before the layers inside it."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)


def node_of(tensor) -> Any:
    """The call that made a tensor."""
    operation, node_index, _ = tensor._keras_history
    return operation._inbound_nodes[node_index]


def graph_nodes(model: keras.Model) -> Iterator[Any]:
    """The calls of this model's graph, those of its inputs among them, in order."""
    return nodes_between(model.inputs, model.outputs)


def nodes_between(inputs: Sequence[Any], outputs: Sequence[Any]) -> Iterator[Any]:
    """The calls that lead to `outputs`, but not beyond `inputs`, each after those it depends on."""
    seen, ends = set(), {id(tensor) for tensor in inputs}
    waiting = [(tensor, False) for tensor in reversed(outputs)]
    while waiting:
        tensor, ready = waiting.pop()
        node = node_of(tensor)
        if ready:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            waiting.append((tensor, True))
            if id(tensor) not in ends:
                waiting += [(source, False) for source in reversed(node.input_tensors)]


def layer_paths(model: keras.Model) -> dict[str, Any]:
    """Path -> output of every layer, the later of one called twice, through nested models:
    `mobilenetv2/out_relu`. Not `layer.output`, which may be a tensor of another graph."""
    paths: dict[str, Any] = {}
    for node in graph_nodes(model):
        operation, (first, *more) = node.operation, node.output_tensors
        inside = layer_paths(functional(operation)) if is_graph(operation) else {}
        found = {f"{operation.name}/{path}": tensor for path, tensor in inside.items()}
        for path, tensor in (found | {operation.name: [first, *more] if more else first}).items():
            paths.pop(path, None)  # the later call stands later too
            paths[path] = tensor
    return paths


def expose(model: keras.Model, tensors: Any) -> tuple[keras.Model, Any]:
    """The model, and a structure of tensors with those of graphs nested in it as tensors of its own graph: a
    nested model with such a tensor inside is called again, with the tensor as one more output."""
    model, found = _expose(model, {id(tensor) for tensor in keras.tree.flatten(tensors)})
    return model, keras.tree.map_structure(lambda tensor: found.get(id(tensor), tensor), tensors)


def _expose(model: keras.Model, wanted: set[int]) -> tuple[keras.Model, dict[int, Any]]:
    """The model, and by their ids those of the wanted tensors that are in it or in its nested models."""
    opened: dict[int, tuple[keras.Model, list[int]]] = {}
    inside: dict[int, Any] = {}

    def open_nested(nested, args, kwargs):
        if not is_graph(nested):
            return None
        if id(nested) not in opened:
            part, found = _expose(functional(nested), wanted)
            with_more = keras.Model(part.input, [part.output, list(found.values())], name=part.name)
            opened[id(nested)] = with_more, list(found)
        with_more, names = opened[id(nested)]
        if not names:
            return None
        output, tensors = with_more(*args, **kwargs)
        inside.update(zip(names, tensors))
        return output

    replaced = rerun(model, open_nested)
    found = inside | {name: tensor for name, tensor in replaced.items() if name in wanted}
    if not inside:
        return model, found
    outputs = keras.tree.map_structure(lambda tensor: replaced[id(tensor)], model.output)
    return keras.Model(model.input, outputs, name=model.name), found


def rerun(model: keras.Model, replace: Callable[[Any, tuple, dict], Any]) -> dict[int, Any]:
    """Run through the graph again: id of each tensor -> the tensor that follows it. `replace(operation, args,
    kwargs)` gives the outputs of a call, or None to leave it as it is."""
    tensors = {id(tensor): tensor for tensor in model.inputs}
    for node in graph_nodes(model):
        outputs = node.output_tensors
        if node.input_tensors:
            args, kwargs = node.arguments.fill_in(tensors)
            new = replace(node.operation, args, kwargs)
            if new is None and any(tensors[id(tensor)] is not tensor for tensor in node.input_tensors):
                new = node.operation(*args, **kwargs)
            outputs = outputs if new is None else keras.tree.flatten(new)
        tensors |= {id(old): new for old, new in zip(node.output_tensors, outputs)}
    return tensors
