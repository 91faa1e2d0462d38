"""Augmentation policies of KerasCV by name: RandAugment, CutMix, MixUp, GridMask.

KerasCV is frozen upstream, and some of its layers fail inside a model; in a `tf.data` map all four work.
It is imported when a policy is asked for and nothing else depends on it.

These layers draw from TensorFlow's stateful random numbers, so unlike flips and crops they are *not* a
function of (seed, epoch, step): the order of the data stays exact, the augmented pixels do not repeat
from run to run, and a resumed run goes on with other draws.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from attention_keras.extras import needs


def _rand_augment(layers: Any):
    """Two random operations on each image, at magnitude 9 of 30."""
    return layers.RandAugment(value_range=(0, 255), augmentations_per_image=2, magnitude=0.3, dtype="float32")


def _cut_mix(layers: Any):
    """A rectangle of another image, labels mixed by area."""
    return layers.CutMix(alpha=1.0, dtype="float32")


def _mix_up(layers: Any):
    """A weighted mean with another image, labels likewise."""
    return layers.MixUp(alpha=0.2, dtype="float32")


def _grid_mask(layers: Any):
    """Black out a rotated grid of squares."""
    return layers.GridMask(dtype="float32")


_POLICIES: dict[str, Callable[[Any], Any]] = {
    "randaugment": _rand_augment,
    "cutmix": _cut_mix,
    "mixup": _mix_up,
    "gridmask": _grid_mask,
}


def policy_map(names: tuple[str, ...]) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """A function for `tf.data.Dataset.map` that applies policies in this order.

    Args:
        names: names in `attention_keras.data.augmentations.POLICIES`.

    Returns:
        From `(images (b, h, w, 3), one-hot labels (b, k))` to the same, both float32; CutMix and MixUp
        mix the labels.
    """
    with needs("this augmentation", extra="train"):
        import keras_cv

    layers = [_POLICIES[name](keras_cv.layers) for name in names]

    def apply(images, labels):
        shape = images.shape
        batch = {"images": tf.cast(images, tf.float32), "labels": labels}
        for layer in layers:
            batch = layer(batch)
        images = tf.clip_by_value(batch["images"], 0.0, 255.0)
        return tf.ensure_shape(images, shape), tf.ensure_shape(batch["labels"], labels.shape)

    return apply
