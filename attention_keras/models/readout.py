"""How a network's logits come from its maps: traced through its graph, from classifier back to pools."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from attention_keras.errors import UserError
from attention_keras.layers.attention_pool import AttentionPool
from attention_keras.layers.ensemble import LevelEnsemble
from attention_keras.models.blocks import POOL
from attention_keras.models.outputs import LOGITS


@dataclass(frozen=True, eq=False)
class PooledMap:
    """One map that is pooled into a part of the descriptor.

    Attributes:
        tap: its name.
        features: `(b, h, w, c)`.
        pool: the pooling layer: AttentionPool or GlobalAveragePooling2D.
        attention: `(b, h, w)`; None for an average.
        norm: the batch norm after pooling, or None.
        gate: what the ReLU after that gives, `(b, c)`, or None.
    """

    tap: str
    features: Any
    pool: keras.layers.Layer
    attention: Any
    norm: keras.layers.Layer | None
    gate: Any


@dataclass(frozen=True, eq=False)
class Readout:
    """One linear classifier, and the maps that it reads in the order of its kernel's rows."""

    classifier: keras.layers.Dense
    maps: list[PooledMap]


def readouts(model: keras.Model) -> list[Readout]:
    """The linear classifiers of a network: one, or for `indep` one for each level.

    Raises:
        UserError: the logits are no sum over places: something else stands between pooling and classifier,
            or nothing is pooled.
    """
    if not isinstance(model.output, dict) or LOGITS not in model.output:
        raise UserError(f"{model.name} has no output named {LOGITS}; evidence is for models of this package")
    layer, (source, *others) = _made_by(model.output[LOGITS])
    levels = [source, *others] if isinstance(layer, LevelEnsemble) else [model.output[LOGITS]]
    return [_readout(tensor, model) for tensor in levels]


def _readout(logits, model: keras.Model) -> Readout:
    layer, (source, *_) = _made_by(logits)
    if not isinstance(layer, layers.Dense) or layer.activation is not keras.activations.linear:
        raise _no_sum(model, f"{layer.name!r} gives its logits, which is no linear classifier")
    quantized, adapted = layer.quantization_mode, layer.lora_enabled
    if quantized or adapted:
        changed = "quantized" if quantized else "adapted by LoRA"
        raise UserError(
            f"{model.name} has no evidence: its classifier {layer.name!r} is {changed}, so that its weights "
            "are not those of a linear layer; take the evidence of the model as it was before"
        )
    joint, parts = _made_by(source)
    if not isinstance(joint, layers.Concatenate):
        parts = [source]
    return Readout(layer, [_pooled(part, model) for part in parts])


def _pooled(tensor, model: keras.Model) -> PooledMap:
    """From a part of the descriptor back through dropout, ReLU and batch norm to what was pooled."""
    norm = gate = None
    while True:
        layer, sources = _made_by(tensor)
        if isinstance(layer, AttentionPool):
            features = sources[0]
            attention = layer._inbound_nodes[_node_index(tensor)].output_tensors[1]
            tap = layer.name.removeprefix(POOL)
            return PooledMap(tap, features, layer, attention, norm, gate)
        if isinstance(layer, layers.GlobalAveragePooling2D) and layer.data_format == "channels_last":
            before, _ = _made_by(sources[0])
            tap = layer.name.removeprefix(POOL) if layer.name.startswith(POOL) else before.name
            return PooledMap(tap, sources[0], layer, None, norm, gate)
        if isinstance(layer, layers.Dropout):
            pass
        elif _is_relu(layer) and norm is None and gate is None:
            gate = tensor
        elif isinstance(layer, layers.BatchNormalization) and norm is None:
            norm = layer
        else:
            raise _no_sum(model, f"the layer {layer.name!r} stands between its maps and its classifier")
        tensor = sources[0]


def _is_relu(layer) -> bool:
    """A ReLU as the paper's: neither leaky nor cut off, so that it is open or closed."""
    if isinstance(layer, layers.ReLU):
        return layer.max_value is None and not layer.negative_slope and not layer.threshold
    return isinstance(layer, layers.Activation) and layer.activation is keras.activations.relu


def _made_by(tensor) -> tuple[Any, list[Any]]:
    """The layer whose output a tensor of the graph is, and what it was made from."""
    layer = tensor._keras_history.operation
    node = layer._inbound_nodes[_node_index(tensor)]
    return layer, list(node.input_tensors) or [None]


def _node_index(tensor) -> int:
    return tensor._keras_history.node_index


def _no_sum(model: keras.Model, reason: str) -> UserError:
    return UserError(
        f"{model.name} has no evidence: {reason}, so its logits are no sum over places; attention models and "
        "networks that end in average pooling and one linear layer have it"
    )
