"""The same network again: a copy, one for larger images, one in float32, and weights that move by name."""

import re
from collections.abc import Callable
from typing import Any

import keras

from attention_keras.errors import UserError
from attention_keras.models.classifier import Classifier
from attention_keras.models.graph import functional

LOW = re.compile("(mixed_)?b?float16")


def copy_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Give `target` the weights of `source`, of the same structure, by the methods of files: they know what
    `Normalization` derives from its weights, and that `Evidence` shares its own. `set_weights` does not."""
    for old, new in zip(_computing_layers(source), _computing_layers(target), strict=True):
        store: dict[str, Any] = {}
        old.save_own_variables(store)
        if store:
            # Copies, since JAX's variables would share their arrays, which a step of training gives away.
            new.load_own_variables({name: keras.ops.copy(weight) for name, weight in store.items()})


def _computing_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layer itself and all in it that compute, those of nested models and of wrappers among them."""
    containers = (keras.Model, keras.layers.InputLayer)
    return [part for part in layer._flatten_layers() if not isinstance(part, containers)]


def copy_model(model: keras.Model, **options) -> keras.Model:
    """A model of layers of its own with the same weights; `options` are those of `clone_model`."""
    copy = keras.models.clone_model(model, **options)
    copy_weights(model, copy)
    return model.like(copy.input, copy.output) if isinstance(model, Classifier) else copy


def for_image_size(backbone: keras.Model, size: tuple[int, int]) -> keras.Model:
    """A copy of a convolutional backbone for images of `size` `(height, width)`, with maps to match."""
    model = functional(backbone)
    config = rewritten(model.get_config(), _without_size)
    for layer in config["layers"]:
        if layer["class_name"] == "InputLayer":
            shape = layer["config"]["batch_shape"]
            layer["config"]["batch_shape"] = (shape[0], *size, *shape[3:])
    try:
        resized = type(model).from_config(config)
        copy_weights(model, resized)
    except ValueError as error:
        raise UserError(
            f"{backbone.name} cannot take images of {size[1]}x{size[0]}: only a convolutional network takes "
            f"any size ({str(error).strip().splitlines()[0]})"
        ) from None
    return resized


def _without_size(part: Any) -> Any:
    """A part of a configuration without the size of images, and without what a layer was built with."""
    if not isinstance(part, dict):
        return part
    shape: Any = part.get("batch_shape") or ()
    open_size = {"batch_shape": (shape[0], None, None, shape[3])} if len(shape) == 4 else {}
    return {key: value for key, value in part.items() if key != "build_config"} | open_size


def in_float32(model: keras.Model) -> keras.Model:
    """The same network computing in float32, as gradients and most runtimes need; itself if it does
    already."""
    if precision(model) == "float32":
        return model

    def raised(part):
        return "float32" if isinstance(part, str) and LOW.fullmatch(part) else part

    def clone(layer):
        return type(layer).from_config(rewritten(layer.get_config(), raised))

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # for layers that make others inside
    try:
        return copy_model(model, clone_function=clone)
    finally:
        keras.config.set_dtype_policy(policy)


def precision(model: keras.Model) -> str:
    """What the layers compute in: `mixed_bfloat16`, `mixed_float16`, `float32` and so on."""
    for layer in _computing_layers(model):
        if any(LOW.fullmatch(str(dtype)) for dtype in (layer.compute_dtype, layer.variable_dtype)):
            return layer.dtype_policy.name
    return "float32"


def rewritten(config: Any, change: Callable[[Any], Any]) -> Any:
    """A configuration with a change made to all parts of it, at any depth."""
    if isinstance(config, dict):
        return change({key: rewritten(value, change) for key, value in config.items()})
    if isinstance(config, list | tuple):
        return type(config)(rewritten(value, change) for value in config)
    return change(config)


def transfer_weights(source: keras.Model, target: keras.Model, same_classes: bool = False) -> str:
    """Copy the weights of all layers that both have, but preprocessing and the classifier of other classes,
    and say how many these were, and name the others (`main_multiplicativeatt_hl_ll.lua`)."""
    layers, partners = ({x.name: x for x in model.layers if x.weights} for model in (target, source))
    kept = ("preprocess",) if same_classes else ("preprocess", "classifier")
    loaded, left = [], []
    for layer in layers.values():
        partner = partners.get(layer.name)
        if partner is None or layer.name.startswith(kept):
            reason = "not in the source" if partner is None else "other classes"
            left.append(f"  {layer.name:<24} kept as initialised ({reason})")
            continue
        shapes = [[tuple(weight.shape) for weight in each.weights] for each in (partner, layer)]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"weights of {layer.name} do not fit: {shapes[0][0]} in the source, {shapes[1][0]} in the "
                "target; the two models need the same width and axes"
            )
        loaded.append((partner, layer))
    if not loaded:
        raise UserError("no layer of the source has a partner of its name; nothing could be loaded")
    for pair in loaded:
        copy_weights(*pair)
    return "\n".join([f"loaded {len(loaded)} layers by name", *left])
