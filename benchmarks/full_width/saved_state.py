"""The state of a training on disk: an interrupted one continues, also on another machine."""

import io
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attention_keras.errors import UserError
from attention_keras.runs.durable import write_whole
from attention_keras.runs.recipes import Recipe

_ABOUT = "about"


def save_state(path: Path, state: Any, about: dict[str, Any]) -> None:
    """Write all arrays of `state` and what is to be known about it; whole or not at all."""
    arrays = {f"{place:05d}": np.asarray(value) for place, value in enumerate(jax.tree.leaves(state))}
    arrays[_ABOUT] = np.frombuffer(json.dumps(about).encode(), "uint8")
    file = io.BytesIO()
    np.savez(file, **arrays)
    write_whole(path, file.getvalue())


def load_state(path: Path, like: Any, recipe: Recipe) -> tuple[Any, dict[str, Any]]:
    """The state in the structure of `like`, and what is known about it.

    Args:
        path: that `save_state` wrote.
        like: a state of the same training.
        recipe: that it must be of. Fields that the file does not know yet were as they are by default.

    Raises:
        UserError: it is of another training.
    """
    with np.load(path) as file:
        about = json.loads(file[_ABOUT].tobytes())
        if (found := Recipe(**about["recipe"])) != recipe:
            raise UserError(f"{path} is of a training with {found}, not {recipe}")
        leaves = [file[f"{place:05d}"] for place in range(len(file.files) - 1)]
    wanted, structure = jax.tree.flatten(like)
    if [leaf.shape for leaf in leaves] != [leaf.shape for leaf in wanted]:
        raise UserError(f"{path} is of another network")
    return jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in leaves]), about
