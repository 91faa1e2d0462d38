"""Augmentation policies of KerasCV by name: RandAugment and GridMask.

KerasCV is frozen upstream, and some of its layers fail inside a model; in a `tf.data` map these two work.
It is imported when a policy is asked for and nothing else depends on it.

These layers draw from TensorFlow's stateful random numbers, so unlike all other augmentation they are *not*
a function of (seed, epoch, step): the order of the data stays exact, the augmented pixels do not repeat
from run to run, and a resumed run goes on with other draws.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from attention_keras.extras import needs


def _rand_augment(layers: Any):
    """Two random operations on each image, at magnitude 9 of 30."""
    return layers.RandAugment(value_range=(0, 255), augmentations_per_image=2, magnitude=0.3, dtype="float32")


def _grid_mask(layers: Any):
    """Black out a rotated grid of squares."""
    return layers.GridMask(dtype="float32")


_POLICIES: dict[str, Callable[[Any], Any]] = {
    "randaugment": _rand_augment,
    "gridmask": _grid_mask,
}


def policy_map(names: tuple[str, ...]) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """A function for `tf.data.Dataset.map` that applies policies in this order.

    Args:
        names: names in `attention_keras.data.augmentations.POLICIES`.

    Returns:
        From `(images (b, h, w, 3), labels)` to the same, with the images float32 in [0, 255].

    Raises:
        UserError: KerasCV is not installed.
    """
    with needs("this augmentation", extra="train"):
        import keras_cv

    layers = [_POLICIES[name](keras_cv.layers) for name in names]

    def apply(images, labels):
        shape = images.shape
        images = tf.cast(images, tf.float32)
        for layer in layers:
            images = layer(images)
        return tf.ensure_shape(tf.clip_by_value(images, 0.0, 255.0), shape), labels

    return apply
