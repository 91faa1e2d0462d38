"""Flip, crop and cutout on the device; each image of a batch has its own draw.

The same augmentations as `attention_keras.data.augment` and `mixing` make with tf.data, but other draws.
"""

import jax
import jax.numpy as jnp

from attention_keras.data.augmentations import parse_augment
from attention_keras.errors import UserError

PADDING = 4


def augmentation(words: str):
    """A function of `(images (b, h, w, 3) uint8, key)` to images of the same shape and type.

    Args:
        words: `none`, or names joined by `+`: flip, crop, crop_reflect, cutout.

    Raises:
        UserError: a name is unknown, or is one of tf.data's only.
    """
    plan = parse_augment(words)
    names = (*plan.crops, *plan.moves, *plan.mixes, *plan.policies)
    if missing := [name for name in names if name not in _AUGMENTATIONS]:
        raise UserError(f"augment {missing[0]} is not made on the device; use {', '.join(_AUGMENTATIONS)}")

    def apply(images, key):
        for place, name in enumerate(names):
            images = _AUGMENTATIONS[name](images, jax.random.fold_in(key, place))
        return images

    return apply


def _flip(images, key):
    flipped = jax.random.bernoulli(key, shape=(len(images), 1, 1, 1))
    return jnp.where(flipped, images[:, :, ::-1], images)


def _crop(images, key, mode="constant"):
    padded = jnp.pad(images, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)), mode)
    offsets = jax.random.randint(key, (len(images), 2), 0, 2 * PADDING + 1)
    shape = images.shape[1:]
    return jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), shape))(padded, offsets)


def _crop_reflect(images, key):
    return _crop(images, key, "reflect")


def _cutout(images, key):
    """Black out a square of half the image's side around a random pixel."""
    sides = images.shape[1:3]
    length = min(sides) // 2
    row_key, column_key = jax.random.split(key)
    inside = [
        _interval(side, length, axis_key, len(images))
        for side, axis_key in zip(sides, (row_key, column_key), strict=True)
    ]
    square = inside[0][:, :, None] & inside[1][:, None, :]
    return jnp.where(square[..., None], jnp.zeros_like(images), images)


def _interval(extent, length, key, count):
    """Masks `(b, extent)`, true on `length` places around a random one; the border may clip them."""
    centre = jax.random.randint(key, (count, 1), 0, extent)
    offset = jnp.arange(extent) - (centre - length // 2)
    return (offset >= 0) & (offset < length)


_AUGMENTATIONS = {"flip": _flip, "crop": _crop, "crop_reflect": _crop_reflect, "cutout": _cutout}
