"""Which feature maps of a backbone are attended to."""

import difflib
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers

from attention_keras.errors import UserError
from attention_keras.models.blocks import GLOBAL_FEATURES
from attention_keras.models.graph import expose, functional, is_graph, layer_paths, nodes_between
from attention_keras.models.maps import map_size
from attention_keras.models.outputs import REST
from attention_keras.models.spec import AUTOMATIC_LEVELS

TILES = "tiles"
"""Name of the layer, and so of the tap, that is the map of an image of any size."""
_PREPARES = (layers.ZeroPadding2D, layers.Cropping2D)

logger = logging.getLogger("attention_keras")


def find_taps(
    backbone: keras.Model, taps, g, levels: int = AUTOMATIC_LEVELS
) -> tuple[keras.Model, dict[str, Any], Any]:
    """The backbone as a functional model, the tensor of each tap by its name, and of g, by default its
    output."""
    model = functional(backbone)
    paths = layer_paths(model)
    if isinstance(taps, str) and taps == "auto" and TILES in paths:
        taps = [TILES]
    elif isinstance(taps, str) and taps == "auto":
        taps = automatic_taps(paths, levels)
        logger.info("attend: taps chosen are %s", ", ".join(taps))
    chosen = dict(taps) if isinstance(taps, Mapping) else _named(taps)
    if not chosen:
        raise UserError("taps is empty; name at least one layer to attend to")
    for name in chosen:
        if not isinstance(name, str) or "/" in name or name == REST:
            raise UserError(
                f"a tap cannot be called {name!r}: outputs are named after it; choose another name"
            )
    asked = dict(g) if isinstance(g, Mapping) else {} if g is None else {GLOBAL_FEATURES: g}
    found = [_tensor(tap, paths, model, f"tap {name!r}") for name, tap in chosen.items()]
    found += [_tensor(query, paths, model, "g") for query in asked.values()]
    model, found = expose(model, found)
    local, queries = dict(zip(chosen, found)), dict(zip(asked, found[len(chosen) :]))
    if g is None:
        return model, local, model.output
    return model, local, queries if isinstance(g, Mapping) else queries[GLOBAL_FEATURES]


def _tensor(tap, paths: dict[str, Any], model: keras.Model, whose: str):
    """The tensor that a path or a tensor means."""
    if isinstance(tap, str):
        if tap not in paths:
            close = difflib.get_close_matches(tap, list(paths), n=3, cutoff=0.3) or list(paths)[-3:]
            raise UserError(f"the backbone has no layer {tap!r}; the closest names are {', '.join(close)}")
        if isinstance(paths[tap], list):
            raise UserError(f"{whose} has shape of several outputs; a layer of one output is needed")
        return paths[tap]
    if not isinstance(tap, keras.KerasTensor):
        raise UserError(
            f"{whose} must be the path of a layer or a tensor of the backbone's graph; "
            f"got {type(tap).__name__}"
        )
    images = {id(image) for image in model.inputs}
    for node in nodes_between(model.inputs, [tap]):
        if not node.input_tensors and not images & {id(image) for image in node.output_tensors}:
            raise UserError(f"{whose} is a tensor of another graph than the backbone's; give one of its own")
    return tap


def _named(taps: Sequence[str]) -> dict[str, str]:
    """Each path under the name of its layer."""
    wrong = [taps] if isinstance(taps, str) else [tap for tap in taps if not isinstance(tap, str)]
    if wrong:
        raise UserError(
            'taps are layer names in a list, a mapping from names to layer names or tensors, or "auto"; '
            f"got {str(wrong[0])[:80]!r}"
        )
    names = [tap.split("/")[-1] for tap in taps]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UserError(
            f"taps has several layers called {', '.join(sorted(twice))}; give a mapping from names of your "
            "choice to their paths"
        )
    return dict(zip(names, taps))


def automatic_taps(paths: dict[str, Any], levels: int = AUTOMATIC_LEVELS) -> list[str]:
    """Paths of the last layers of the deepest resolutions, the larger map first, out of `layer_paths`."""
    last: dict[tuple[int, int], str] = {}
    for path, tensor in paths.items():
        operation = None if isinstance(tensor, list) else tensor._keras_history.operation
        # Padding and cropping only prepare a convolution: their sizes are no resolutions of the network. What
        # comes out of a nested model is there by its path inside.
        if operation is None or isinstance(operation, _PREPARES) or is_graph(operation):
            continue
        if isinstance(operation, layers.InputLayer):
            if len(tensor.shape) == 4 and None in tensor.shape[1:3] and "/" not in path:
                raise UserError(
                    f'taps="auto" needs images of a fixed size; name the taps, or begin the backbone with '
                    f"keras.Input((height, width, {tensor.shape[-1]}))"
                )
        elif (size := map_size(tensor)) and math.prod(size) > 1:
            last.pop(size, None)
            last[size] = path
    if not last:
        raise UserError('taps="auto" finds no feature map (b, h, w, c) in the backbone; name the taps')
    return list(last.values())[-levels:]
