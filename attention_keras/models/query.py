"""Questioning one image with another's global features."""

import keras

from attention_keras.errors import UserError
from attention_keras.models.blocks import GLOBAL_FEATURES
from attention_keras.models.outputs import ATTENTION


def global_model(model: keras.Model) -> keras.Model:
    """images -> g `(b, d)`, the global features of an attention model.

    Raises:
        UserError: the model has no layer `global_features`.
    """
    return keras.Model(model.input, _global_features(model))


def query_model(model: keras.Model) -> keras.Model:
    """(images, g) -> attention `{attention_<tap>: (b, h, w)}`: where g is found in the images.

    With dp (and additive, or a sigmoid) another image's g moves the map; with pc under a softmax g has
    no effect on it (paper, section 5.5; `ExtraCoseg` of the official code uses dp).

    Raises:
        UserError: the model has no layer `global_features`, or no attention output.

    Example:
        >>> import numpy as np
        >>> from attention_keras import build_model
        >>> model = build_model("vgg-att1-dp", width=0.0625)
        >>> images = np.zeros((2, 32, 32, 3), "float32")
        >>> g = global_model(model).predict(images, verbose=0)
        >>> query_model(model).predict([images, g], verbose=0)["attention_conv13"].shape
        (2, 8, 8)
    """
    attention = {name: tensor for name, tensor in model.output.items() if name.startswith(ATTENTION)}
    if not attention:
        raise UserError(f"{model.name} has no attention to question")
    return keras.Model([model.input, _global_features(model)], attention)


def _global_features(model: keras.Model):
    """The tensor g; several global branches have no single g to exchange."""
    names = [layer.name for layer in model.layers if layer.name.startswith(GLOBAL_FEATURES)]
    if names != [GLOBAL_FEATURES]:
        have = f"has {', '.join(names)}" if names else "has none"
        raise UserError(f"{model.name} needs one global feature vector to be questioned; it {have}")
    return model.get_layer(GLOBAL_FEATURES).output
