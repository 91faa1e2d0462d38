"""Small backbones that tests attend to, weights as if trained, and outputs as arrays of NumPy."""

import keras
import numpy as np
from keras import layers, ops


def mobilenet(**options):
    options = {"include_top": False, "weights": None, "input_shape": (32, 32, 3), "alpha": 0.35, **options}
    return keras.applications.MobileNetV2(name="mobilenetv2", **options)


def convolutions(shape=(32, 32, 3), name="convolutions"):
    inputs = keras.Input(shape)
    x = layers.Conv2D(6, 3, 2, padding="same", activation="relu", name="early")(inputs)
    x = layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="late")(x)
    return keras.Model(inputs, x, name=name)


def vision_transformer(size, make_tokens, class_token=False):
    """One block of self-attention; the class token is learned."""
    images = keras.Input((*size, 3))
    x = make_tokens(images)
    if class_token:
        token = layers.Embedding(1, x.shape[-1])(layers.Flatten()(x)[:, :1] * 0)
        x = layers.Concatenate(axis=1)([token, x])
    x = layers.Add(name="block")([x, layers.MultiHeadAttention(2, 3)(x, x)])
    return keras.Model(images, layers.LayerNormalization(name="last")(x))


def numpy(tensor):
    return np.asarray(ops.convert_to_numpy(tensor))


def arrays(outputs):
    return {name: numpy(value) for name, value in outputs.items()}


def scattered(model, seed=0):
    """As if trained: batch norms with statistics, scales and shifts of their own, biases that are not 0."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "variance" in variable.path:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif any(word in variable.path for word in ("gamma", "beta", "moving_mean", "bias")):
            variable.assign(rng.normal(0.3, 0.5, variable.shape))
    return model
