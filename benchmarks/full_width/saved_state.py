"""The state of a training on disk: an interrupted one continues, also on another machine."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attention_keras.errors import UserError
from attention_keras.runs.durable import write_whole
from benchmarks.full_width.setting import differences

_ABOUT = "about"


def save_state(path: Path, state: Any, about: dict[str, Any]) -> None:
    """Write all arrays of `state` and what is to be known about it; whole or not at all."""
    arrays = {f"{place:05d}": np.asarray(value) for place, value in enumerate(jax.tree.leaves(state))}
    arrays[_ABOUT] = np.frombuffer(json.dumps(about).encode(), "uint8")
    file = io.BytesIO()
    np.savez(file, **arrays)
    write_whole(path, file.getvalue())


def read_about(path: Path, conditions: Mapping[str, Any]) -> dict[str, Any]:
    """What is known about a saved state.

    Args:
        path: that `save_state` wrote.
        conditions: that its training must have, of `conditions_of`.

    Raises:
        UserError: it is of another training.
    """
    with np.load(path) as file:
        about = json.loads(file[_ABOUT].tobytes())
    advice = "choose another --output, or remove the file to begin anew"
    if "conditions" not in about:
        raise UserError(f"{path} is of an earlier version, which did not note precision and data; {advice}")
    if changed := differences(about["conditions"], conditions):
        raise UserError(f"{path} is of another training ({changed}); {advice}")
    return about


def load_state(path: Path, like: Any, conditions: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The state in the structure of `like`, a state of the same training, and what is known about it.

    Raises:
        UserError: it is of another training, as `read_about` says, or of another network.
    """
    about = read_about(path, conditions)
    with np.load(path) as file:
        leaves = [file[f"{place:05d}"] for place in range(len(file.files) - 1)]
    wanted, structure = jax.tree.flatten(like)
    if [leaf.shape for leaf in leaves] != [leaf.shape for leaf in wanted]:
        raise UserError(f"{path} is of another network")
    return jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in leaves]), about
