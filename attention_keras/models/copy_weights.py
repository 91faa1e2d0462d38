"""Weights from one layer or model to another of the same structure, and copies of models."""

from typing import Any

import keras


def copy_weights(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Give `target` the weights of `source`, each layer in its own way, as if they came from a file.

    `set_weights` changes variables and nothing else. But `Normalization` computes with values that it derives
    from its variables, and a layer from `evidence_model` shares its variables or has copies of its own. The
    methods that read and write files know about both.

    Args:
        source: a layer or a model.
        target: of the same structure, such as a clone.

    Raises:
        ValueError: the two have different layers.

    Example:
        >>> import numpy as np
        >>> one, other = (keras.layers.Normalization() for _ in range(2))
        >>> one.adapt(np.array([[10.0], [30.0]]))
        >>> other.build((None, 1))
        >>> copy_weights(one, other)
        >>> float(other(np.array([[30.0]]))[0, 0])
        1.0
    """
    for old, new in zip(computing_layers(source), computing_layers(target), strict=True):
        store: dict[str, Any] = {}
        old.save_own_variables(store)
        if store:
            # Copies, since JAX's variables would share their arrays, which a step of training gives away.
            new.load_own_variables({name: keras.ops.copy(weight) for name, weight in store.items()})


def copy_model(model: keras.Model) -> keras.Model:
    """A model of layers of its own with the same weights."""
    copy = keras.models.clone_model(model)
    copy_weights(model, copy)
    return copy


def computing_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layer itself and all in it that compute, those of nested models and of wrappers among them."""
    containers = (keras.Model, keras.layers.InputLayer)
    return [part for part in layer._flatten_layers() if not isinstance(part, containers)]
