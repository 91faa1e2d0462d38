"""Weights from one model to another by layer name, as CUB models start from CIFAR-100 ones."""

from dataclasses import dataclass

import keras

from attention_keras.errors import UserError
from attention_keras.models.copy_weights import copy_weights

CLASSIFIER = "classifier"


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
    """Copy the weights of every layer that both models have, except preprocessing.

    Source: `main_multiplicativeatt_hl_ll.lua`, which fine-tunes all of a CIFAR-100 model on CUB with a
    new classifier. Pixel statistics stay those of the target's data.

    Args:
        source, target: models of this package.
        same_classes: whether the classes are the same, so that the classifier is copied too.

    Raises:
        UserError: a layer of the same name has weights of another shape.
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
