"""Which feature maps are attended to, and how any layer's output becomes one."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers

from attention_keras.errors import UserError
from attention_keras.models.blocks import GLOBAL_FEATURES
from attention_keras.models.graph import functional, layer_paths, nodes_between, open_taps
from attention_keras.models.outputs import REST

CLASS_TOKEN = 1
REGISTERS = 4  # of a Vision Transformer with registers, between the class token and the places
_PREPARES = (layers.ZeroPadding2D, layers.Cropping2D)
_MOVES_AXES = ("Permute", "Reshape", "Transpose", "Moveaxis")

logger = logging.getLogger("attention_keras")


def find_taps(backbone: keras.Model, taps, g, levels: int = 2) -> tuple[keras.Model, dict[str, Any], Any]:
    """The backbone as a functional model, the tensor of each tap by its name, and the tensor of g.

    Args:
        backbone: see `attend`.
        taps: see `attend`.
        g: a layer's path, a tensor, or a mapping to either; None for the backbone's output.
        levels: how many taps `"auto"` takes.

    Raises:
        UserError: an unknown path, a tap's name that cannot be an output's, or no tensor of the graph.
    """
    if isinstance(taps, str) and taps == "auto":
        taps = automatic_taps(backbone, levels)
        logger.info("attend: taps chosen are %s", ", ".join(taps))
    chosen = dict(taps) if isinstance(taps, Mapping) else _named(taps)
    if not chosen:
        raise UserError("taps is empty; name at least one layer to attend to")
    for name in chosen:
        if not isinstance(name, str) or "/" in name or name == REST:
            raise UserError(
                f"a tap cannot be called {name!r}: outputs are named after it; choose another name"
            )
    queries = dict(g) if isinstance(g, Mapping) else {} if g is None else {GLOBAL_FEATURES: g}
    wanted = [*chosen.values(), *queries.values()]
    model, opened = open_taps(backbone, [path for path in wanted if isinstance(path, str)])
    if any(not isinstance(tap, str) for tap in wanted) and not _have_common_images(model, backbone):
        raise UserError("there are tensors beside paths into nested models; give all of them as paths")
    local = {name: _tensor(tap, opened, model, f"tap {name!r}") for name, tap in chosen.items()}
    found = {name: _tensor(query, opened, model, "g") for name, query in queries.items()}
    if g is None:
        return model, local, model.output
    return model, local, found if isinstance(g, Mapping) else found[GLOBAL_FEATURES]


def _have_common_images(one: keras.Model, other: keras.Model) -> bool:
    return bool({id(image) for image in one.inputs} & {id(image) for image in other.inputs})


def _tensor(tap, opened: Mapping[str, Any], model: keras.Model, whose: str):
    """The tensor that a path or a tensor means, or several of a layer with several outputs."""
    if isinstance(tap, str):
        return opened[tap]
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


def automatic_taps(backbone: keras.Model, levels: int = 2) -> list[str]:
    """Paths of the last layers of the deepest resolutions, the larger map first.

    Args:
        backbone: see `attend`; its images must have a fixed size.

    Raises:
        UserError: the size is open, or no layer has a map.

    Example:
        >>> automatic_taps(keras.applications.MobileNetV2(include_top=False, weights=None))
        Traceback (most recent call last):
        attention_keras.errors.UserError: taps="auto" needs images of a fixed size; name the taps, ...
    """
    last: dict[tuple[int, int], str] = {}
    for path, tensor in layer_paths(functional(backbone)).items():
        # Padding and cropping only prepare a convolution: their sizes are no resolutions of the network.
        if isinstance(tensor, list) or isinstance(tensor._keras_history.operation, _PREPARES):
            continue
        if len(tensor.shape) == 4 and isinstance(tensor._keras_history.operation, layers.InputLayer):
            size = tensor.shape[1:3]
            if None in size:
                raise UserError(
                    f'taps="auto" needs images of a fixed size; name the taps, or begin the backbone with '
                    f"keras.Input((height, width, {tensor.shape[-1]}))"
                )
            continue
        size = map_size(tensor)
        if size is not None and math.prod(size) > 1:
            last.pop(size, None)
            last[size] = path
    if not last:
        raise UserError('taps="auto" finds no feature map (b, h, w, c) in the backbone; name the taps')
    return list(last.values())[-levels:]


def map_size(tensor) -> tuple[int, int] | None:
    """Height and width of a feature map or of square tokens; None for anything else."""
    if len(tensor.shape) == 4:
        size = tensor.shape[2:4] if is_channels_first(tensor) else tensor.shape[1:3]
        return None if None in size else tuple(size)
    if len(tensor.shape) == 3 and leading_tokens(tensor.shape[1]) is not None:
        return (math.isqrt(tensor.shape[1]),) * 2
    return None


def leading_tokens(count: int | None) -> int | None:
    """How many of `count` tokens stand before those of a square map; None where that is not known.

    Example:
        >>> leading_tokens(196), leading_tokens(197), leading_tokens(201), leading_tokens(210)
        (0, 1, 5, None)
    """
    rest = None if count is None else count - math.isqrt(count) ** 2
    return rest if rest in (0, CLASS_TOKEN, CLASS_TOKEN + REGISTERS) else None


def is_channels_first(tensor) -> bool:
    """Whether a tensor of rank 4 is `(b, c, h, w)`, by the nearest layer before it that says so."""
    while True:
        operation, node_index, tensor_index = tensor._keras_history
        if isinstance(operation, keras.Model) and hasattr(operation, "operations"):
            return is_channels_first(operation.outputs[tensor_index])
        data_format = getattr(operation, "data_format", None)
        sources = operation._inbound_nodes[node_index].input_tensors
        if data_format is None and (not sources or type(operation).__name__ in _MOVES_AXES):
            data_format = keras.config.image_data_format()
        if data_format is not None:
            return data_format == "channels_first"
        tensor = sources[0]


def local_features(tensor, tap: str):
    """The map `(b, h, w, c)` of a tap: as it is, with the channels moved to the end, or from tokens.

    Raises:
        UserError: the tap is neither a map nor tokens of a square map.
    """
    shape: tuple = getattr(tensor, "shape", ())
    if len(shape) == 4:
        return layers.Permute((2, 3, 1), name=f"map_{tap}")(tensor) if is_channels_first(tensor) else tensor
    if len(shape) != 3:
        raise UserError(
            f"tap {tap!r} has shape {shape or 'of several outputs'}; a feature map (b, h, w, c) or "
            "tokens (b, n, c) are needed"
        )
    leading = leading_tokens(shape[1])
    if leading is None:
        raise UserError(
            f"tap {tap!r} has {shape[1]} tokens, which make no square map; give a map yourself, taps="
            "{name: keras.layers.Reshape((height, width, channels))(tensor)}"
        )
    if leading:
        tensor = layers.Cropping1D((leading, 0), name=f"places_{tap}")(tensor)
    side = math.isqrt(shape[1])
    return layers.Reshape((side, side, shape[2]), name=f"map_{tap}")(tensor)


def global_features(tensor, name: str):
    """g `(b, d)`, out of a layer called `name`: a map or tokens averaged, or the class token.

    Raises:
        UserError: the tensor is none of these.
    """
    shape = tensor.shape
    if len(shape) == 4:
        order = "channels_first" if is_channels_first(tensor) else "channels_last"
        return layers.GlobalAveragePooling2D(data_format=order, name=name)(tensor)
    if len(shape) == 3:
        if not leading_tokens(shape[1]):
            return layers.GlobalAveragePooling1D(data_format="channels_last", name=name)(tensor)
        return layers.Flatten(name=name)(layers.Cropping1D((0, shape[1] - 1), name="class_token")(tensor))
    if len(shape) != 2:
        raise UserError(f"global_features has shape {shape}; (b, d), a map or tokens are needed")
    operation = tensor._keras_history.operation
    return tensor if operation.name == name else layers.Identity(name=name)(tensor)


def averaged_map(tensor):
    """The map or square tokens whose average `tensor` is, or the map that it is itself; else None.

    Args:
        tensor: g, of a backbone's graph.
    """
    operation, node_index, _ = tensor._keras_history
    if isinstance(operation, layers.GlobalAveragePooling2D):
        tensor = operation._inbound_nodes[node_index].input_tensors[0]
    is_map = len(tensor.shape) == 4 or (len(tensor.shape) == 3 and leading_tokens(tensor.shape[1]) == 0)
    return tensor if is_map else None
