"""A model's outputs on many images, a batch at a time."""

from collections.abc import Callable

import keras
import numpy as np
from tqdm import tqdm


def map_batches(call: Callable, images: np.ndarray, batch_size: int, *, progress: bool = False):
    """`call` on every batch, the last one as short as it is; results joined, in the structure it returns.

    Args:
        call: `(b, h, w, c)` -> arrays that start with b.
        images: `(n, h, w, c)`, n at least 1; rows of a file are read as they are needed.
        batch_size: images at a time.
        progress: show a bar, on a terminal and for what takes more than a few seconds.
    """
    parts = []
    quiet = None if progress else True
    with tqdm(total=len(images), unit=" images", disable=quiet, leave=False, delay=3) as bar:
        for start in range(0, len(images), batch_size):
            batch = np.asarray(images[start : start + batch_size])
            parts.append(call(batch))
            bar.update(len(batch))
    return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def predict_batches(model: keras.Model, images: np.ndarray, batch_size: int):
    """What `model.predict` gives, in the model's structure of outputs, but sooner.

    `predict` makes a tf.data pipeline of the images, and giving that up takes about as long as a short
    prediction itself (`attention_keras.data.pipeline.untuned`).

    Args:
        model: of one input `(n, h, w, c)`.
        images: `(n, h, w, c)`, n at least 1; cast to float32.
        batch_size: images at a time.

    Example:
        >>> model = keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Flatten()])
        >>> predict_batches(model, np.zeros((5, 2, 2, 3)), batch_size=2).shape
        (5, 12)
    """
    return map_batches(lambda batch: model.predict_on_batch(batch.astype("float32")), images, batch_size)
