"""A model's outputs on many images, a batch at a time."""

import keras
import numpy as np


def predict_batches(model: keras.Model, images: np.ndarray, batch_size: int):
    """What `model.predict` gives, in the model's structure of outputs, but sooner.

    `predict` makes a tf.data pipeline of the images, and giving that up takes about as long as a short
    prediction itself (`attention_keras.data.untuned`).

    Args:
        model: of one input `(n, h, w, c)`.
        images: `(n, h, w, c)`, n at least 1; cast to float32.
        batch_size: images at a time.

    Example:
        >>> model = keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Flatten()])
        >>> predict_batches(model, np.zeros((5, 2, 2, 3)), batch_size=2).shape
        (5, 12)
    """
    starts = range(0, len(images), batch_size)
    parts = [model.predict_on_batch(np.asarray(images[s : s + batch_size], "float32")) for s in starts]
    return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)
