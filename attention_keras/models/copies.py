"""The same network again: a copy, one for larger images, one in float32, and weights that move by name."""

import re
from dataclasses import dataclass
from typing import Any

import keras

from attention_keras.errors import UserError
from attention_keras.models.classifier import Classifier
from attention_keras.models.graph import functional

CLASSIFIER = "classifier"
LOW = re.compile("(mixed_)?b?float16")


def copy_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Give `target` the weights of `source`, a layer or model of the same structure, as if from a file.

    `set_weights` changes variables and nothing else. But `Normalization` computes with values that it derives
    from its variables, and an `Evidence` layer shares variables or has copies of its own. The methods that
    read and write files know about both.
    """
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
    """A copy of a convolutional backbone that takes images of `size` `(height, width)`.

    Larger images make a larger map, on which small objects have places of their own.
    """
    model = functional(backbone)
    config = _with_free_inputs(model.get_config())
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


def _with_free_inputs(config: Any) -> Any:
    """A configuration without image sizes, in nested models neither, and without what it was built with."""
    if isinstance(config, list | tuple):
        return type(config)(_with_free_inputs(part) for part in config)
    if not isinstance(config, dict):
        return config
    config = {name: _with_free_inputs(part) for name, part in config.items() if name != "build_config"}
    shape = config.get("batch_shape")
    if isinstance(shape, list | tuple) and len(shape) == 4:
        config["batch_shape"] = (shape[0], None, None, shape[3])
    return config


def in_float32(model: keras.Model) -> keras.Model:
    """The network with the same weights, every layer of it computing in float32; itself if it does already.

    Mixed precision rounds to eight or eleven bits. That costs gradients and small changes of a pixel, and
    most runtimes have no bfloat16 convolution. The copy gives other numbers: it does not round in between.
    """
    if precision(model) == "float32":
        return model
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # for layers that make others inside
    try:
        return copy_model(
            model, clone_function=lambda layer: type(layer).from_config(_raised(layer.get_config()))
        )
    finally:
        keras.config.set_dtype_policy(policy)


def precision(model: keras.Model) -> str:
    """What the layers compute in: `mixed_bfloat16`, `mixed_float16`, `float32` and so on."""
    for layer in _computing_layers(model):
        if any(LOW.fullmatch(str(dtype)) for dtype in (layer.compute_dtype, layer.variable_dtype)):
            return layer.dtype_policy.name
    return "float32"


def _raised(config: Any) -> Any:
    """A configuration with float32 in place of every low type that it names, at any depth."""
    if isinstance(config, dict):
        return {key: _raised(value) for key, value in config.items()}
    if isinstance(config, list):
        return [_raised(value) for value in config]
    return "float32" if isinstance(config, str) and LOW.fullmatch(config) else config


@dataclass(frozen=True)
class Transfer:
    """What happened to each layer with weights: names that were loaded, left alone, or had no partner."""

    loaded: list[str]
    skipped: list[str]
    missing: list[str]

    def table(self) -> str:
        """A line for each layer that was not loaded, after the count of those that were."""
        lines = [f"loaded {len(self.loaded)} layers by name"]
        lines += [f"  {name:<24} kept as initialised (other classes)" for name in self.skipped]
        lines += [f"  {name:<24} kept as initialised (not in the source)" for name in self.missing]
        return "\n".join(lines)


def transfer_weights(source: keras.Model, target: keras.Model, same_classes: bool = False) -> Transfer:
    """Copy the weights of all layers that both have, but preprocessing and the classifier of other classes.

    Source: `main_multiplicativeatt_hl_ll.lua`, which fine-tunes all of a CIFAR-100 model on CUB with a
    new classifier. Pixel statistics stay those of the target's data.
    """
    partners = {layer.name: layer for layer in source.layers if layer.weights}
    kept = ("preprocess",) if same_classes else ("preprocess", CLASSIFIER)
    loaded, skipped, missing, mismatched = [], [], [], []
    for layer in target.layers:
        if not layer.weights:
            continue
        if layer.name.startswith(kept):
            skipped.append(layer.name)
        elif layer.name not in partners:
            missing.append(layer.name)
        elif [w.shape for w in partners[layer.name].weights] != [w.shape for w in layer.weights]:
            mismatched.append(layer.name)
        else:
            loaded.append(layer.name)
    if mismatched:
        first = mismatched[0]
        shapes = tuple(str(tuple(m.get_layer(first).weights[0].shape)) for m in (source, target))
        raise UserError(
            f"weights of {len(mismatched)} layers do not fit, first {first}: {shapes[0]} in the source, "
            f"{shapes[1]} in the target; the two models need the same width and axes"
        )
    if not loaded:
        raise UserError("no layer of the source has a partner of its name; nothing could be loaded")
    for name in loaded:
        copy_weights(partners[name], target.get_layer(name))
    return Transfer(loaded, skipped, missing)
