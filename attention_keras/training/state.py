"""The state of a training by name: every variable that a resumed run must find as it was."""

import re
from typing import Any

import keras

from attention_keras.models.outputs import LOGITS

_SEED = re.compile(r"^seed_generator(_\d+)?/")


MODEL = "model/"
"""What the names of the network's own variables begin with."""


def model_state(model: keras.Model) -> dict[str, Any]:
    """Variables of a model, by names that stay the same.

    A name is `model/` and the variable's path. Random seeds are the exception: Keras counts them up within a
    process, so they are named by the layer they belong to.
    """
    owners = {id(variable): layer.name for layer in model.layers for variable in layer.variables}
    state: dict[str, Any] = {}
    for variable in model.variables:
        path, count = _SEED.subn("seed_generator/", variable.path)
        _add(state, f"{MODEL}{owners[id(variable)]}/{path}" if count else f"{MODEL}{path}", variable)
    return state


def training_state(model: keras.Model, trained: keras.Model | None = None) -> dict[str, Any]:
    """Variables of a model, and of the optimiser and running metrics it is trained with, by name.

    The last two are called `optimizer/` or `metrics/` and the variable's path.

    Args:
        model: the whole network.
        trained: the part of it that is compiled, its optimiser and metrics built; the whole by default.
    """
    trained = trained or model
    state = model_state(model)
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


def build_metrics(model: keras.Model) -> None:
    """Keras makes the variables of compiled metrics at the first update; a restored run needs them before."""
    zeros = keras.ops.zeros((1, model.output[LOGITS].shape[-1]))
    keras.Model.compute_metrics(model, None, zeros, zeros)
    model.reset_metrics()
