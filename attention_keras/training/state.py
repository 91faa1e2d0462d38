"""The state of a training by name: every variable that a resumed run must find as it was."""

import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from attention_keras.errors import UserError
from attention_keras.models.outputs import LOGITS

MODEL = "model/"
"""What the names of the network's own variables begin with."""
_SEED = re.compile(r"^seed_generator(_\d+)?/")


def model_state(model: keras.Model) -> dict[str, Any]:
    """Variables of a model, by `model/` and their paths.

    Keras counts random seeds up within a process, so they are named by the layer they belong to.
    """
    owners = {id(variable): layer.name for layer in model.layers for variable in layer.variables}
    state: dict[str, Any] = {}
    for variable in model.variables:
        path, count = _SEED.subn("seed_generator/", variable.path)
        _add(state, f"{MODEL}{owners[id(variable)]}/{path}" if count else f"{MODEL}{path}", variable)
    return state


def training_state(whole: keras.Model, trained: keras.Model) -> dict[str, Any]:
    """Variables of the whole network, and of the optimiser and the metrics of its part that is compiled."""
    state = model_state(whole)
    for variable in trained.optimizer.variables:
        _add(state, f"optimizer/{variable.path}", variable)
    for variable in trained.metrics_variables:
        _add(state, f"metrics/{variable.path}", variable)
    return state


def _add(state: dict[str, Any], name: str, variable: Any) -> None:
    """Under its name; where a layer has several seeds, with a number."""
    number, unique = 1, name
    while unique in state:
        number += 1
        unique = f"{name}:{number}"
    state[unique] = variable


def of_model(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those of a checkpoint's arrays that belong to the network itself."""
    return {name: array for name, array in arrays.items() if name.startswith(MODEL)}


def assign(variables: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Put saved arrays back into Keras variables of the same names."""
    same_names = variables.keys() == arrays.keys()
    if not same_names or any(tuple(v.shape) != arrays[name].shape for name, v in variables.items()):
        raise UserError("the checkpoint belongs to another model; give a new `name`, or `restart`")
    for name, variable in variables.items():
        variable.assign(arrays[name])


def build_metrics(model: keras.Model) -> None:
    """Keras makes the variables of compiled metrics at the first update; a restored run needs them before."""
    zeros = keras.ops.zeros((1, model.output[LOGITS].shape[-1]))
    keras.Model.compute_metrics(model, None, zeros, zeros)
    model.reset_metrics()
