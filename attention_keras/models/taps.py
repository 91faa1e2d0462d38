"""Which feature maps of a backbone are attended to: layers by path, and the map that a tensor makes."""

import difflib
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

from attention_keras.errors import UserError
from attention_keras.models.graph import expose, functional, is_graph, layer_paths, node_of, nodes_between
from attention_keras.models.outputs import REST
from attention_keras.models.spec import AUTOMATIC_LEVELS

TILES = "tiles"  # the layer, and so the tap, that is the map of an image of any size
LEADING = (0, 1, 5)  # tokens before those of the places: none, a class token, that and four registers
_MOVES_AXES = ("Permute", "Reshape", "Transpose", "Moveaxis")
_PREPARES = (layers.ZeroPadding2D, layers.Cropping2D)

logger = logging.getLogger("attention_keras")


def find_taps(
    backbone: keras.Model, taps, g, levels: int = AUTOMATIC_LEVELS
) -> tuple[keras.Model, dict[str, Any], Any]:
    """The backbone as a functional model, the map `(b, h, w, c)` of each tap by its name, and what g is, one
    tensor or several, by default the output."""
    model = functional(backbone)
    paths = layer_paths(model)
    if isinstance(taps, str) and taps == "auto":
        taps = [TILES] if TILES in paths else automatic_taps(paths, levels)
        logger.info("attend: taps chosen are %s", ", ".join(taps))
    chosen = dict(taps) if isinstance(taps, Mapping) else _named(taps)
    if not chosen:
        raise UserError("taps is empty; name at least one layer to attend to")
    for name in chosen:
        if not isinstance(name, str) or "/" in name or name == REST:
            raise UserError(
                f"a tap cannot be called {name!r}: outputs are named after it; choose another name"
            )
    local = {name: _tensor(tap, paths, f"tap {name!r}") for name, tap in chosen.items()}
    g = model.output if g is None else keras.tree.map_structure(lambda query: _tensor(query, paths, "g"), g)
    model, (local, g) = expose(model, (local, g))
    return model, {tap: local_features(tensor, tap) for tap, tensor in local.items()}, g


def _tensor(tap, paths: dict[str, Any], whose: str):
    """The tensor that a path or a tensor means."""
    if isinstance(tap, keras.KerasTensor):
        return tap
    if not isinstance(tap, str):
        raise UserError(
            f"{whose} must be the path of a layer or a tensor of the graph; got {type(tap).__name__}"
        )
    if tap not in paths:
        close = difflib.get_close_matches(tap, list(paths), n=3, cutoff=0.3) or list(paths)[-3:]
        raise UserError(f"the backbone has no layer {tap!r}; the closest names are {', '.join(close)}")
    if isinstance(paths[tap], list):
        raise UserError(f"{whose} has shape of several outputs; a layer of one output is needed")
    return paths[tap]


def _named(taps: Sequence[str]) -> dict[str, str]:
    """Each path under the name of its layer."""
    wrong = [taps] if isinstance(taps, str) else [tap for tap in taps if not isinstance(tap, str)]
    if wrong:
        raise UserError(
            'taps are layer names in a list, a mapping from names to layer names or tensors, or "auto"; '
            f"got {str(wrong[0])[:80]!r}"
        )
    named = {tap.split("/")[-1]: tap for tap in taps}
    if len(named) < len(taps):
        raise UserError(
            f"taps has several layers of one name, {', '.join(taps)}; give a mapping from names of your "
            "choice to their paths"
        )
    return named


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


def is_channels_first(tensor) -> bool:
    """Whether a tensor of rank 4 is `(b, c, h, w)`, by the nearest layer before it that says so."""
    while True:
        node = node_of(_inside(tensor))
        data_format = getattr(node.operation, "data_format", None)
        if data_format is None and (not node.input_tensors or type(node.operation).__name__ in _MOVES_AXES):
            data_format = keras.config.image_data_format()
        if data_format is not None:
            return data_format == "channels_first"
        tensor = node.input_tensors[0]


def _inside(tensor):
    """The tensor inside a nested model that comes out of it as this one."""
    while is_graph(tensor._keras_history.operation):
        tensor = tensor._keras_history.operation.outputs[tensor._keras_history.tensor_index]
    return tensor


def token_grid(tensor) -> tuple[int, int, int] | None:
    """Of tokens `(b, n, c)`: how many stand before those of the places, and the places' rows and columns: of
    the last map before them with as many places, or of the shape of the images, if either is known."""
    if len(tensor.shape) != 3 or tensor.shape[1] is None:
        return None
    count, image = tensor.shape[1], None
    before = [found for node in nodes_between([], [_inside(tensor)]) for found in node.output_tensors]
    for found in reversed(before):
        size = map_size(found) if len(found.shape) == 4 else None
        if size and not node_of(found).input_tensors:
            image = size
        elif size and count - math.prod(size) in LEADING:
            return count - math.prod(size), *size
    if image is None:
        return None
    height, width = image
    for leading in LEADING:
        rows = math.isqrt((count - leading) * height // width)
        columns = (count - leading) // rows if rows else 0
        if rows * columns == count - leading and rows * width == columns * height:
            return leading, rows, columns
    return None


def map_size(tensor) -> tuple[int, int] | None:
    """Height and width of a feature map or of tokens; None for anything else, or where they are open."""
    if len(tensor.shape) == 4:
        height, width = tensor.shape[2:4] if is_channels_first(tensor) else tensor.shape[1:3]
        return None if height is None or width is None else (height, width)
    grid = token_grid(tensor)
    return grid and grid[1:]


def local_features(tensor, tap: str):
    """The map `(b, h, w, c)` of a map in any order of axes, or of tokens."""
    if len(tensor.shape) == 4:
        return ops.transpose(tensor, (0, 2, 3, 1)) if is_channels_first(tensor) else tensor
    if grid := token_grid(tensor):
        leading, rows, columns = grid
        places = tensor[:, leading:] if leading else tensor
        return ops.reshape(places, (-1, rows, columns, tensor.shape[2]))
    if len(tensor.shape) == 3:
        raise UserError(
            f"tap {tap!r} has {tensor.shape[1]} tokens, and nothing says which map they make; give a map "
            "yourself, taps={name: keras.layers.Reshape((height, width, channels))(tensor)}"
        )
    raise UserError(
        f"tap {tap!r} has shape {tensor.shape}; a feature map (b, h, w, c) or tokens (b, n, c) are needed"
    )


def global_features(tensor, name: str):
    """g `(b, d)`, out of a layer called `name`: a map or tokens averaged, or the class token."""
    rank = len(tensor.shape)
    if rank == 4:
        order = "channels_first" if is_channels_first(tensor) else "channels_last"
        return layers.GlobalAveragePooling2D(data_format=order, name=name)(tensor)
    if rank == 3:
        grid = token_grid(tensor)
        if grid is None or not grid[0]:
            return layers.GlobalAveragePooling1D(data_format="channels_last", name=name)(tensor)
        tensor = tensor[:, 0]
    elif rank != 2:
        raise UserError(f"global_features has shape {tensor.shape}; (b, d), a map or tokens are needed")
    return tensor if tensor._keras_history.operation.name == name else layers.Identity(name=name)(tensor)


def averaged_map(tensor):
    """The map or tokens whose average `tensor` is, or the map that it is itself; else None."""
    node = node_of(tensor)
    if isinstance(node.operation, layers.GlobalAveragePooling2D):
        tensor = node.input_tensors[0]
    if len(tensor.shape) == 4:
        return tensor
    grid = token_grid(tensor)
    return tensor if grid is not None and grid[0] == 0 else None


def pools_all_places(layer: Any, source) -> bool:
    """Whether a pooling layer or operation joins all places of a map or of tokens, and nothing else."""
    rank = len(source.shape)
    if (rank == 3 and (token_grid(source) or (1,))[0]) or rank not in (3, 4):
        return False  # a class token is no place
    first = rank == 4 and is_channels_first(source)
    if hasattr(layer, "pool_size"):
        return rank == 4 and tuple(layer.pool_size) == map_size(source)
    if hasattr(layer, "data_format"):
        return (layer.data_format == "channels_first") == first
    places = {2, 3} if first else set(range(1, rank - 1))
    return {axis % rank for axis in layer.axis or ()} == places
