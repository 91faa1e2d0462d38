"""A trained network in small files, as bfloat16, and back again as a `.keras` file.

    python -m benchmarks.full_width.weights FOLDER/vgg-att2-concat-scaled-s0 MODEL.keras

Without the branch that has no effect (`attention_keras.models.prune`) and in half the bits, a network of
full width takes 25 to 40 MB, and files of at most 15 MB carry it anywhere. The `.keras` file is evaluated as
any other.
"""

import argparse
import json
import sys
from pathlib import Path

import keras
import ml_dtypes
import numpy as np

from attention_keras.commands.command_line import exit_code
from attention_keras.errors import UserError
from attention_keras.models.float32 import in_float32
from attention_keras.models.prune import prune_dead_branch

LARGEST_FILE = 15 * 2**20
_GRAPH = "graph"
_FILES = "{}.[0-9]*.npz"  # a saved state of the training has a word there


def save_weights(model: keras.Model, stem: Path, largest: int = LARGEST_FILE) -> list[Path]:
    """Write `<stem>.0.npz`, `<stem>.1.npz` and so on, each of at most about `largest` bytes.

    Those that are there go away first: a smaller network has fewer, and none of a larger one's may stay.
    """
    model = prune_dead_branch(model)
    for path in stem.parent.glob(_FILES.format(stem.name)):
        path.unlink()
    paths: list[Path] = []
    graph = json.loads(model.to_json())
    graph.pop("compile_config", None)  # its optimiser is of no use here
    part = {_GRAPH: np.frombuffer(json.dumps(graph).encode(), "uint8")}

    def finish():
        paths.append(stem.with_name(f"{stem.name}.{len(paths)}.npz"))
        np.savez_compressed(paths[-1], **part)
        part.clear()

    for place, value in enumerate(model.get_weights()):
        # The file format does not know bfloat16, but its bits.
        bits = value.astype(ml_dtypes.bfloat16).view("uint16")
        if part and sum(array.nbytes for array in part.values()) + bits.nbytes > largest:
            finish()
        part[f"{place:05d}"] = bits
    finish()
    return paths


def load_weights(stem: Path) -> keras.Model:
    """The model in float32, with weights that have the precision of bfloat16.

    Raises:
        UserError: there are no such files, or one is missing.
    """
    found: dict[str, np.ndarray] = {}
    for path in stem.parent.glob(_FILES.format(stem.name)):
        with np.load(path) as part:
            found |= {name: part[name] for name in part.files}
    if _GRAPH not in found:
        raise UserError(f"there is no {stem}.0.npz; give the files' common beginning")
    model = keras.models.model_from_json(found.pop(_GRAPH).tobytes().decode())
    if len(found) != len(model.weights):
        raise UserError(f"of the {len(model.weights)} weights {len(found)} are there; a file is missing")
    bits = [found[name] for name in sorted(found)]
    model.set_weights([values.view(ml_dtypes.bfloat16).astype("float32") for values in bits])
    return in_float32(model)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.full_width.weights", description=__doc__.splitlines()[0]
    )
    parser.add_argument("stem", type=Path, help="the files' common beginning")
    parser.add_argument("model", type=Path, help="the .keras file to write")
    options = parser.parse_args()
    load_weights(options.stem).save(options.model)


if __name__ == "__main__":
    sys.exit(exit_code(main))
