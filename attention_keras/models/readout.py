"""How logits come from maps: traced through a classifier's graph, from the output back to the pools."""

import math
from dataclasses import dataclass
from typing import Any

import keras

from attention_keras.errors import UserError
from attention_keras.layers.ensemble import LevelEnsemble
from attention_keras.models.blocks import POOL
from attention_keras.models.graph import is_graph, node_of
from attention_keras.models.maps import is_channels_first, pools_all_places

_NOTHING = {"Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "Identity"}
_NOTHING |= {"ActivityRegularization", "Cast"}
_RESHAPES = {"Flatten", "Reshape", "Squeeze"}
_POOLS = {f"Global{kind}Pooling{n}D": kind.lower() for kind in ("Average", "Max") for n in (1, 2)}
_POOLS |= {"AveragePooling2D": "average", "MaxPooling2D": "max", "Mean": "average", "Max": "max"}

Frames = tuple[Any, ...]  # the calls of the nested models that a graph is in


def read_out(model: keras.Model, output) -> list["Readout"]:
    """How an output comes about: one readout, or for `indep` one for each level; refuses what is no sum."""
    call = _made_by(output, ())
    if isinstance(call.operation, LevelEnsemble):
        return [Readout(model.name, tensor, call.frames) for tensor in call.node.input_tensors]
    return [Readout(model.name, output, ())]


def activation_of(output) -> str | None:
    """What makes probabilities in the graph of an output, `softmax` or `sigmoid`; None of logits."""
    return _logits(output, ())[2]


@dataclass(frozen=True)
class _Call:
    """The call that made a tensor."""

    node: Any
    frames: Frames

    @property
    def operation(self):
        return self.node.operation

    @property
    def kinds(self) -> set[str]:
        """The names of its classes of Keras: a layer and an operation of one name do the same."""
        own = ("keras.", "attention_keras.")
        return {kind.__name__ for kind in type(self.operation).__mro__ if kind.__module__.startswith(own)}


def _made_by(tensor, frames: Frames) -> _Call:
    """The call behind a tensor: into nested models, and out of them where their inputs are reached."""
    while True:
        node = node_of(tensor)
        if is_graph(node.operation):
            frames = (*frames, node)
            tensor = node.operation.outputs[tensor._keras_history.tensor_index]
        elif not node.input_tensors and frames:
            *outer, around = frames
            inputs = around.operation.inputs
            index = next(i for i, image in enumerate(inputs) if image is tensor)
            tensor, frames = around.input_tensors[index], tuple(outer)
        else:
            return _Call(node, frames)


def _logits(tensor, frames: Frames) -> tuple[Any, Frames, str | None]:
    """The tensor of the logits and its frames, and what makes probabilities of them (in the classifier or
    after)."""
    while True:
        call = _made_by(tensor, frames)
        if not call.node.input_tensors:
            return tensor, frames, None
        name = "softmax" if "Softmax" in call.kinds else _activation(call.operation)
        if name in ("softmax", "sigmoid") or "Sigmoid" in call.kinds:
            own = bool(call.kinds & {"Dense", "Conv2D"})
            before = (tensor, frames) if own else (call.node.input_tensors[0], call.frames)
            return *before, name or "sigmoid"
        if not _does_nothing(call):
            return tensor, frames, None
        tensor, frames = call.node.input_tensors[0], call.frames


def _does_nothing(call: _Call) -> bool:
    """Whether a layer gives what it gets at prediction, apart from its shape."""
    if call.kinds & _RESHAPES:
        return _places(call.node.input_tensors[0]) == 1
    return bool(call.kinds & _NOTHING) or (
        "Activation" in call.kinds and _activation(call.operation) == "linear"
    )


class Readout:
    """The steps from one vector of logits back to the maps that were pooled for it.

    `name` is that of the layer that gives the logits. `steps`, for `Evidence`, need `tensors`, of this
    graph or nested ones, and `variables`, by name. `taps` names the maps in the order of `Evidence`, and
    `activation` what makes probabilities in the graph, if anything.
    """

    def __init__(self, model_name: str, output, frames: Frames):
        self.tensors: list[Any] = []
        self.variables: dict[str, Any] = {}
        self.taps: list[str] = []
        self._model_name, self._count, self.num_classes = model_name, 0, output.shape[-1]
        tensor, frames, self.activation = _logits(output, frames)
        self._last = _made_by(tensor, frames).node
        self.name: str = self._last.operation.name
        self.steps = self._back(tensor, frames, False)

    def _back(self, tensor, frames: Frames, classified: bool) -> dict[str, Any]:
        """The steps from a tensor `(b, c)` back; `classified` once the classifier has been passed."""
        call = _made_by(tensor, frames)
        if not call.node.input_tensors:
            raise self._refusal("nothing is pooled between its images and its logits")
        found = self._pool(call) or self._join(call, classified)
        if found is not None:
            return found
        steps, layer = self._linear(call, classified), call.operation
        if steps is None:
            raise self._refusal(
                f"the layer {layer.name!r} ({type(layer).__name__}) stands between its maps and its logits"
            )
        classified = classified or any(step["kind"] == "dense" for step in steps)
        step = self._back(call.node.input_tensors[0], call.frames, classified)
        for outer in reversed(steps):
            step = outer | {"inputs": [step]}
        return step

    def _pool(self, call: _Call) -> dict[str, Any] | None:
        """The leaf: a map that is pooled here; None where this is something else."""
        layer, (source, *_) = call.operation, call.node.input_tensors
        if hasattr(layer, "pooled"):
            by, features, weights, valid = layer.pooled(call.node.input_tensors, call.node.output_tensors)
            leaf = self._leaf(call, features, by) | {"weights_of_places": self._tensor(weights)}
            return leaf if valid is None else leaf | {"valid": self._tensor(valid)}
        kind = next((_POOLS[kind] for kind in call.kinds if kind in _POOLS), None)
        if kind and pools_all_places(layer, source):
            return self._leaf(call, source, kind)
        flattens = call.kinds & _RESHAPES and len(call.node.output_tensors[0].shape) == 2
        is_map = len(source.shape) == 4 and not is_channels_first(source)
        return self._leaf(call, source, "flatten") if flattens and is_map and _places(source) != 1 else None

    def _leaf(self, call: _Call, features, by: str) -> dict[str, Any]:
        tap = call.operation.name
        if not tap.startswith(POOL):
            tap = _made_by(call.node.input_tensors[0], call.frames).operation.name
        self.taps.append(tap.removeprefix(POOL).removesuffix("_average"))
        return {"kind": "pool", "by": by, "features": self._tensor(features), "inputs": []}

    def _join(self, call: _Call, classified: bool) -> dict[str, Any] | None:
        """Several vectors side by side, or their sum, weighted or not."""
        sources = call.node.input_tensors
        if "WeightedLevels" in call.kinds:  # the sum of several classifiers, each with a weight
            joined = self._weighted("add", {"weight": call.operation.weight}, classified)
        elif len(sources) < 2 or _places(call.node.output_tensors[0]) != 1:
            return None
        elif "Concatenate" in call.kinds:
            joined = {"kind": "concatenate", "sizes": [max(source.shape[1:]) for source in sources]}
        elif "Add" in call.kinds and len({tuple(source.shape[1:]) for source in sources}) == 1:
            joined = {"kind": "add", "weights": {}}
        else:
            return None
        return joined | {"inputs": [self._back(source, call.frames, classified) for source in sources]}

    def _linear(self, call: _Call, classified: bool) -> list[dict[str, Any]] | None:
        """What a layer does to a vector, last first; None where that is not linear for a given image."""
        layer, kinds, (source, *_) = call.operation, call.kinds, call.node.input_tensors
        if _does_nothing(call):
            return []
        if _places(source) != 1:
            return None
        gate = []
        if relu := _relu(layer, kinds):  # its own output tells whether it is open
            gate = [relu | {"is_rest": False, "tensor": self._tensor(call.node.output_tensors[0])}]
        if kinds & {"Dense", "Conv2D"}:
            is_plain = gate or _activation(layer) == "linear" or call.node is self._last
            is_wide = "Conv2D" in kinds and (layer.kernel_size != (1, 1) or layer.groups != 1)
            if is_wide or not is_plain:
                return None
            quantized = getattr(layer, "quantization_mode", None)
            if quantized or getattr(layer, "lora_enabled", False):
                changed = "quantized" if quantized else "adapted by LoRA"
                raise UserError(
                    f"{self._model_name} has no evidence: its layer {layer.name!r} is {changed}, so that its "
                    "weights are not those of a linear layer; take the evidence of the model as it was before"
                )
            return [*gate, self._weighted("dense", {"kernel": layer.kernel, "bias": layer.bias}, classified)]
        if gate:
            return gate
        axis, last = getattr(layer, "axis", None), len(source.shape) - 1
        if "BatchNormalization" in kinds and axis in (-1, last):
            found = {"gamma": layer.gamma, "beta": layer.beta}
            found |= {"mean": layer.moving_mean, "variance": layer.moving_variance}
            return [self._weighted("scale", found, classified) | {"epsilon": layer.epsilon}]
        if "LayerNormalization" in kinds and axis in (-1, last, [-1], [last]) and not layer.rms_scaling:
            norm = self._weighted("layer_norm", {"gamma": layer.gamma, "beta": layer.beta}, classified)
            return [norm | {"tensor": self._tensor(source), "epsilon": layer.epsilon}]
        if "Rescaling" in kinds and not isinstance(layer.scale, list | tuple):
            constants = {"scale": float(layer.scale), "offset": float(layer.offset)}
            return [self._weighted("scale", {}, classified) | constants]
        return None

    def _tensor(self, tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _weighted(self, kind: str, variables: dict[str, Any], classified: bool) -> dict[str, Any]:
        """A step with the variables that there are."""
        found = {name: variable for name, variable in variables.items() if variable is not None}
        self.variables |= {f"{self._count}_{name}": variable for name, variable in found.items()}
        shapes = {name: list(variable.shape) for name, variable in found.items()}
        step = {"kind": kind, "id": self._count, "weights": shapes, "is_rest": not classified}
        self._count += 1
        return step

    def _refusal(self, reason: str) -> UserError:
        return UserError(
            f"{self._model_name} has no evidence: {reason}, so its logits are no sum over places; networks "
            "that pool a map and classify it by layers that are linear for a given image have it"
        )


def _activation(layer) -> str | None:
    """The name of a layer's activation; None where it has none."""
    function = getattr(layer, "activation", None)
    return getattr(function, "__name__", "another") if function is not None else None


def _relu(layer, kinds: set[str]) -> dict[str, Any] | None:
    """The step of a ReLU: what a layer, an activation or an operation does below 0 and far above, or None."""
    slope, ceiling = 0.0, None
    name = _activation(layer)
    if kinds & {"ReLU", "LeakyReLU"}:
        if getattr(layer, "threshold", 0):
            return None
        slope, ceiling = float(layer.negative_slope or 0), getattr(layer, "max_value", None)
    elif "LeakyRelu" in kinds:
        slope = float(layer.negative_slope)
    elif "Relu6" in kinds or name == "relu6":
        ceiling = 6.0
    elif "Relu" not in kinds and name != "relu":
        return None
    return {"kind": "relu", "slope": slope, "ceiling": ceiling}


def _places(tensor) -> int:
    """How many places a tensor has: 1 where only one axis is longer than 1; 0 where that is open."""
    sides = tensor.shape[1:]
    return 0 if None in sides[:-1] else math.prod(sides) // max(sides)
