"""Class activation maps of a network that ends in global average pooling."""

from collections.abc import Sequence

import keras
import numpy as np

from attention_keras.evaluation.subjects.batches import predict_batches
from attention_keras.evaluation.subjects.views import cam_parts


def class_activation_maps(features: np.ndarray, kernel: np.ndarray, targets: Sequence[int]) -> np.ndarray:
    """CAM (Zhou et al. 2016), cut off at 0: features weighted by the classifier's weights of a class.

    Args:
        features: `(n, h, w, c)`, what global average pooling averages.
        kernel: `(c, k)` of the linear classifier.
        targets: `(n,)` classes.

    Returns:
        `(n, h, w)`.

    Example:
        >>> class_activation_maps(np.ones((1, 1, 1, 2)), np.array([[1.0, 5.0], [2.0, -9.0]]), [0]).item()
        3.0
    """
    return np.maximum(np.einsum("nhwc,cn->nhw", features, kernel[:, np.asarray(targets)]), 0)


def cam_of(
    model: keras.Model, images: np.ndarray, targets: Sequence[int], batch_size: int = 128
) -> np.ndarray:
    """CAM of each image's target class.

    Args:
        model: one for which `cam_parts` gives parts.
        images: `(n, H, W, 3)` pixels.
        targets: `(n,)` classes.
        batch_size: images at a time.

    Returns:
        `(n, h, w)`, not negative.
    """
    extract, kernel = cam_parts(model)
    return class_activation_maps(predict_batches(extract, images, batch_size), kernel, targets)
