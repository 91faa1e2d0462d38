"""What a tensor of a graph is: a feature map, tokens of one, or its average; and the map it makes."""

import math
from typing import Any

import keras
from keras import layers, ops

from attention_keras.errors import UserError
from attention_keras.models.graph import is_graph, node_of, nodes_between

LEADING = (0, 1, 5)  # tokens before those of the places: none, a class token, that and four registers
_MOVES_AXES = ("Permute", "Reshape", "Transpose", "Moveaxis")


def is_channels_first(tensor) -> bool:
    """Whether a tensor of rank 4 is `(b, c, h, w)`, by the nearest layer before it that says so."""
    while True:
        tensor = _inside(tensor)
        node = node_of(tensor)
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
    the last map before them with as many places, or of the shape of the images. None where neither is
    known."""
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


def as_map(tensor):
    """The map `(b, h, w, c)` of a map in any order of axes, or of tokens; None for anything else."""
    if len(tensor.shape) == 4:
        return ops.transpose(tensor, (0, 2, 3, 1)) if is_channels_first(tensor) else tensor
    if (grid := token_grid(tensor)) is None:
        return None
    leading, rows, columns = grid
    places = tensor[:, leading:] if leading else tensor
    return ops.reshape(places, (-1, rows, columns, tensor.shape[2]))


def local_features(tensor, tap: str):
    """The map `(b, h, w, c)` of a tap."""
    found = as_map(tensor)
    if found is not None:
        return found
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
