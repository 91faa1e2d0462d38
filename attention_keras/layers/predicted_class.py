"""The predicted class of each image, as a layer of a graph."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="attention_keras")
class PredictedClass(keras.layers.Layer):
    """The class of the largest of the logits: `(b, k)` -> `(b,)` int32.

    A layer with a name of its own: operations are named by counting, and a graph from a file may have a name
    that the next one gets. Not `ops.argmax`, which Keras writes for TensorFlow with operations that LiteRT
    lacks.

    Example:
        >>> import numpy as np
        >>> ops.convert_to_numpy(PredictedClass()(np.array([[1.0, 3.0, 2.0]]))).tolist()
        [1]
    """

    def __init__(self, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)

    def call(self, logits):
        _, best = ops.top_k(logits, 1)
        return ops.squeeze(best, axis=-1)
