"""Checkpoints: the state of a training by name, in files that are complete or invisible.

A checkpoint is one safetensors file named `<step>.<first 32 hex digits of its sha256>.safetensors`. The
digest is checked on loading. Reading one runs no code and allocates no more than the file's own size.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from attention_keras.errors import UserError
from attention_keras.models.outputs import LOGITS
from attention_keras.runs.durable import flush, write_whole

SUFFIX = ".safetensors"
KEPT = 2
MODEL = "model/"
"""What the names of the network's own variables begin with."""
_SEED = re.compile(r"^seed_generator(_\d+)?/")


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on: the optimiser steps done, arrays by name, and a small record."""

    step: int
    arrays: dict[str, np.ndarray]
    record: dict[str, Any]


def save_checkpoint(directory: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, then remove all but the newest two; on a full disk the earlier ones stay."""
    tensors = {name: np.asarray(array, order="C") for name, array in checkpoint.arrays.items()}
    metadata = {"step": str(checkpoint.step), "record": json.dumps(checkpoint.record)}
    content = save(tensors, metadata)
    digest = hashlib.sha256(content).hexdigest()[:32]
    path = directory / f"{checkpoint.step:09d}.{digest}{SUFFIX}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for abandoned in directory.glob(".*.tmp"):
            abandoned.unlink()
        write_whole(path, content)
        flush(directory)
    except OSError as error:
        raise UserError(
            f"cannot write a checkpoint of {len(content) / 1e6:.1f} MB to {directory}: {error.strerror}; "
            "earlier checkpoints are intact, make room and run the same command again"
        ) from None
    files = checkpoint_files(directory)
    # One from a later step is damaged, or the run would have gone on from there.
    for old in {*files} - {*[file for file in files if step_of(file) <= checkpoint.step][:KEPT]}:
        old.unlink()
    return path


def checkpoint_files(directory: Path) -> list[Path]:
    """Checkpoint files, newest first; unfinished ones have another name and are not among them."""
    files = [p for p in directory.glob(f"*{SUFFIX}") if p.name.split(".")[0].isdigit()]
    return sorted(files, key=lambda p: (step_of(p), p.stat().st_mtime_ns), reverse=True)


def step_of(path: Path) -> int:
    """The step in a checkpoint's name."""
    return int(path.name.split(".")[0])


def load_newest(directory: Path, report: Callable[[str], None] = print) -> Checkpoint | None:
    """The newest checkpoint that is whole; damaged ones are reported and passed over."""
    for path in checkpoint_files(directory):
        try:
            return load_checkpoint(path)
        except UserError as error:
            report(f"{error}; trying the one before it")
    return None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint, if its content has the digest that its name promises."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
        if path.name.split(".")[1] != digest:
            raise UserError(f"checkpoint {path} is damaged")
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
            return Checkpoint(int(metadata["step"]), arrays, json.loads(metadata["record"]))
    except (OSError, SafetensorError, KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"checkpoint {path} cannot be read: {error}") from None


def model_state(model: keras.Model) -> dict[str, Any]:
    """Variables of a model by `model/` and their paths; seeds, which Keras counts up, by their layer."""
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
