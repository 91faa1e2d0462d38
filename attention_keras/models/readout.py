"""How logits come from maps: traced through a classifier's graph, from the output back to the pools."""

import math
from dataclasses import dataclass
from typing import Any

import keras

from attention_keras.errors import UserError
from attention_keras.layers.ensemble import LevelEnsemble
from attention_keras.models.blocks import POOL
from attention_keras.models.graph import is_graph, node_of
from attention_keras.models.taps import is_channels_first, pools_all_places

_NOTHING = {"Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "Identity"}
_NOTHING |= {"ActivityRegularization", "Cast"}
_RESHAPES = {"Flatten", "Reshape", "Squeeze"}
_POOLS = {f"Global{kind}Pooling{n}D": kind.lower() for kind in ("Average", "Max") for n in (1, 2)}
_POOLS |= {"AveragePooling2D": "average", "MaxPooling2D": "max", "Mean": "average", "Max": "max"}


@dataclass(frozen=True)
class _Call:
    """The call that made a tensor, inside the calls of nested models `frames`."""

    tensor: Any
    node: Any
    frames: tuple[Any, ...]

    @property
    def operation(self):
        return self.node.operation

    @property
    def kinds(self) -> set[str]:
        """The names of its classes of Keras: a layer and an operation of one name do the same."""
        own = ("keras.", "attention_keras.")
        return {kind.__name__ for kind in type(self.operation).__mro__ if kind.__module__.startswith(own)}

    @property
    def before(self) -> list["_Call"]:
        """The calls that made what it gets."""
        return [_made_by(tensor, self.frames) for tensor in self.node.input_tensors]

    @property
    def does_nothing(self) -> bool:
        """Whether it gives what it gets at prediction, apart from its shape."""
        if self.kinds & _RESHAPES:
            return _places(self.node.input_tensors[0]) == 1
        return bool(self.kinds & _NOTHING) or (
            "Activation" in self.kinds and _activation(self.operation) == "linear"
        )


def _made_by(tensor, frames: tuple[Any, ...] = ()) -> _Call:
    """The call behind a tensor: into nested models, and out of them where their inputs are reached."""
    while True:
        node = node_of(tensor)
        if is_graph(node.operation):
            frames = (*frames, node)
            tensor = node.operation.outputs[tensor._keras_history.tensor_index]
        elif not node.input_tensors and frames:
            *outer, around = frames
            index = next(i for i, image in enumerate(around.operation.inputs) if image is tensor)
            tensor, frames = around.input_tensors[index], tuple(outer)
        else:
            return _Call(tensor, node, frames)


def _logits(call: _Call) -> tuple[_Call, str | None]:
    """The call that gives the logits, and what makes probabilities of them, in the classifier or after it."""
    while call.node.input_tensors:
        name = _activation(call.operation)
        name = next((name for name in ("softmax", "sigmoid") if name.capitalize() in call.kinds), name)
        if name in ("softmax", "sigmoid"):
            return call if call.kinds & {"Dense", "Conv2D"} else call.before[0], name
        if not call.does_nothing:
            break
        call = call.before[0]
    return call, None


def activation_of(output) -> str | None:
    """What makes probabilities in the graph of an output, `softmax` or `sigmoid`; None of logits."""
    return _logits(_made_by(output))[1]


def read_out(model: keras.Model, output) -> list["Readout"]:
    """How an output comes about: one readout, or for `indep` one for each level; refuses what is no sum."""
    call = _made_by(output)
    levels = call.before if isinstance(call.operation, LevelEnsemble) else [call]
    return [Readout(model.name, level) for level in levels]


class Readout:
    """The `steps` of `Evidence` from one vector of logits back to the maps that were pooled for it, and what
    they need: `tensors`, of this graph or nested ones, and `variables`, by name. `taps` names the maps."""

    def __init__(self, model_name: str, call: _Call):
        self.tensors: list[Any] = []
        self.variables: dict[str, Any] = {}
        self.taps: list[str] = []
        self._model_name, self._count, self.num_classes = model_name, 0, call.tensor.shape[-1]
        self._last, self.activation = _logits(call)
        self.name: str = self._last.operation.name
        self.steps = self._back(self._last, False)

    def _back(self, call: _Call, classified: bool) -> dict[str, Any]:
        """The steps from what a call gives, `(b, c)`, back; `classified` once the classifier is passed."""
        layer = call.operation
        if not call.node.input_tensors:
            raise self._refusal("nothing is pooled between its images and its logits")
        if leaf := self._pool(call):
            return leaf
        if joined := self._join(call, classified):
            return joined | {"inputs": [self._back(before, classified) for before in call.before]}
        steps = [] if call.does_nothing else self._linear(call, classified)
        if steps is None:
            raise self._refusal(
                f"the layer {layer.name!r} ({type(layer).__name__}) stands between its maps and its logits"
            )
        step = self._back(call.before[0], classified or any(step["kind"] == "dense" for step in steps))
        for outer in reversed(steps):
            step = outer | {"inputs": [step]}
        return step

    def _pool(self, call: _Call) -> dict[str, Any] | None:
        """The leaf: a map that is pooled here; None where this is something else."""
        layer, source, more = call.operation, call.node.input_tensors[0], {}
        by = next((_POOLS[kind] for kind in call.kinds if kind in _POOLS), None)
        if hasattr(layer, "pooled"):
            by, source, *of_places = layer.pooled(call.node.input_tensors, call.node.output_tensors)
            named = zip(("weights_of_places", "valid"), of_places)
            more = {name: self._tensor(tensor) for name, tensor in named if tensor is not None}
        elif not by or not pools_all_places(layer, source):
            flattens = call.kinds & _RESHAPES and len(call.tensor.shape) == 2 and _places(source) != 1
            if not flattens or len(source.shape) != 4 or is_channels_first(source):
                return None
            by = "flatten"
        tap = layer.name if layer.name.startswith(POOL) else call.before[0].operation.name
        self.taps.append(tap.removeprefix(POOL).removesuffix("_average"))
        return {"kind": "pool", "by": by, "features": self._tensor(source), "inputs": []} | more

    def _join(self, call: _Call, classified: bool) -> dict[str, Any] | None:
        """Several vectors side by side, or their sum, weighted or not."""
        shapes = [tuple(source.shape[1:]) for source in call.node.input_tensors]
        if "WeightedLevels" in call.kinds:  # the sum of several classifiers, each with a weight
            return self._weighted("add", {"weight": call.operation.weight}, classified)
        if len(shapes) > 1 and _places(call.tensor) == 1:
            if "Concatenate" in call.kinds:
                return {"kind": "concatenate", "sizes": [max(shape) for shape in shapes]}
            if "Add" in call.kinds and len(set(shapes)) == 1:
                return {"kind": "add", "weights": {}}
        return None

    def _linear(self, call: _Call, classified: bool) -> list[dict[str, Any]] | None:
        """What a layer does to a vector, last first; None where that is not linear for a given image."""
        layer, kinds, source = call.operation, call.kinds, call.node.input_tensors[0]
        if _places(source) != 1:
            return None
        gate = []
        if relu := _relu(layer, kinds):  # its own output tells whether it is open
            gate = [relu | {"is_rest": False, "tensor": self._tensor(call.tensor)}]
        if kinds & {"Dense", "Conv2D"}:
            is_plain = gate or _activation(layer) == "linear" or call.node is self._last.node
            if not is_plain or ("Conv2D" in kinds and (layer.kernel_size != (1, 1) or layer.groups != 1)):
                return None
            if layer.quantization_mode or layer.lora_enabled:
                raise self._refusal(f"the layer {layer.name!r} is quantized, or adapted by LoRA")
            return [*gate, self._weighted("dense", {"kernel": layer.kernel, "bias": layer.bias}, classified)]
        if gate:
            return gate
        last = len(source.shape) - 1
        is_last = getattr(layer, "axis", None) in (-1, last, [-1], [last])
        if "BatchNormalization" in kinds and is_last:
            found = {"gamma": layer.gamma, "beta": layer.beta}
            found |= {"mean": layer.moving_mean, "variance": layer.moving_variance}
            return [self._weighted("scale", found, classified) | {"epsilon": layer.epsilon}]
        if "LayerNormalization" in kinds and is_last and not layer.rms_scaling:
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
    slope, ceiling, name = 0.0, None, _activation(layer)
    if kinds & {"ReLU", "LeakyReLU", "LeakyRelu"}:
        if getattr(layer, "threshold", 0):
            return None
        slope, ceiling = float(layer.negative_slope or 0), getattr(layer, "max_value", None)
    elif "Relu6" in kinds or name == "relu6":
        ceiling = 6.0
    elif "Relu" not in kinds and name != "relu":
        return None
    return {"kind": "relu", "slope": slope, "ceiling": ceiling}


def _places(tensor) -> int:
    """How many places a tensor has: 1 where only one axis is longer than 1; 0 where that is open."""
    sides = tensor.shape[1:]
    return 0 if None in sides[:-1] else math.prod(sides) // max(sides)
