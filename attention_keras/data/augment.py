"""Flips and crops, each image of a batch with its own draw.

A flip or a crop only says where each row and column of the result comes from. So any number of them
compose on two small index arrays, and a batch is moved once, by one gather. (`keras.layers.RandomCrop`
would take one offset for the whole batch, and `tf.reverse` alone is slower than all of this.)
"""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

PADDING = 4


@dataclass(frozen=True)
class Sampling:
    """Where a batch is sampled: source `rows` `(b, h)` and `columns` `(b, w)`; row h, column w are black."""

    rows: tf.Tensor
    columns: tf.Tensor


def _random_flip(sampling: Sampling, seed: tf.Tensor) -> Sampling:
    """Mirror left and right with probability 1/2 (official code: exactly half of each batch)."""
    batch = tf.shape(sampling.columns)[0]
    mirrored = tf.random.stateless_uniform((batch, 1), seed, 0, 2, tf.int32) == 1
    return Sampling(sampling.rows, tf.where(mirrored, sampling.columns[:, ::-1], sampling.columns))


def _random_crop(sampling: Sampling, seed: tf.Tensor, reflect: bool) -> Sampling:
    """A window of the image's own size, up to 4 pixels off in each direction."""
    batch = tf.shape(sampling.rows)[0]
    offsets = tf.random.stateless_uniform((batch, 2), seed, -PADDING, PADDING + 1, tf.int32)
    return Sampling(
        _shift(sampling.rows, offsets[:, :1], reflect), _shift(sampling.columns, offsets[:, 1:], reflect)
    )


def _shift(positions: tf.Tensor, offset: tf.Tensor, reflect: bool) -> tf.Tensor:
    """Positions `(b, m)` moved by offset `(b, 1)`; beyond the border mirrored at it, or black."""
    last = positions.shape[1] - 1
    wanted = tf.range(last + 1) + offset
    mirrored = last - tf.abs(last - tf.abs(wanted))
    moved = tf.gather(positions, tf.clip_by_value(mirrored, 0, last), batch_dims=1)
    if reflect:
        return moved
    return tf.where((wanted >= 0) & (wanted <= last), moved, last + 1)


def _crop(sampling: Sampling, seed: tf.Tensor) -> Sampling:
    return _random_crop(sampling, seed, reflect=False)


def _crop_reflect(sampling: Sampling, seed: tf.Tensor) -> Sampling:
    return _random_crop(sampling, seed, reflect=True)


_MOVES: dict[str, Callable[[Sampling, tf.Tensor], Sampling]] = {
    "flip": _random_flip,
    "crop": _crop,
    "crop_reflect": _crop_reflect,
}


def move_batch(images: tf.Tensor, moves: tuple[str, ...], seed: tf.Tensor) -> tf.Tensor:
    """Flip and crop a batch; a pure function of its arguments.

    Args:
        images: `(b, h, w, c)`, any dtype, h, w and c known.
        moves: names in `attention_keras.data.augmentations.MOVES`, applied in this order.
        seed: `(2,)` integers, as the stateless random operations of TensorFlow take them.

    Returns:
        `(b, h, w, c)` of the same dtype.
    """
    if not moves:
        return images
    batch, (height, width) = tf.shape(images)[0], images.shape[1:3]
    sampling = Sampling(
        tf.tile(tf.range(height)[None], (batch, 1)), tf.tile(tf.range(width)[None], (batch, 1))
    )
    for place, name in enumerate(moves):
        sampling = _MOVES[name](sampling, tf.random.fold_in(seed, place))
    return _sample(images, sampling)


def _sample(images: tf.Tensor, sampling: Sampling) -> tf.Tensor:
    """Gather single pixels, by far the fastest way, from images with a black row and column added."""
    padded = tf.pad(images, [[0, 0], [0, 1], [0, 1], [0, 0]])
    height, width, channels = padded.shape[1:]
    image = tf.range(tf.shape(images)[0])[:, None]
    start_of_row = (image * height + sampling.rows) * width
    index = start_of_row[:, :, None] + sampling.columns[:, None, :]
    return tf.gather(tf.reshape(padded, (-1, channels)), index)
