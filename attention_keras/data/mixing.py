"""Cutout, mixup and CutMix: what mixes an image with black, or with another image of its batch.

Each image has its own draw, as in `augment.py`, and a batch is a pure function of its arguments: all random
numbers are stateless. (`keras.layers.MixUp` and `keras.layers.CutMix` count their draws in a variable.)
"""

from collections.abc import Callable

import tensorflow as tf

MIXUP_ALPHA = 0.2

Batch = tuple[tf.Tensor, tf.Tensor]


def _cutout(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> Batch:
    """Black out a square of half the image's side (DeVries and Taylor 2017: 16 of 32 pixels on CIFAR-10)."""
    height, width = images.shape[1:3]
    side = tf.repeat(min(height, width) // 2, tf.shape(images)[0])
    return images * tf.cast(~_boxes(images, side, side, seed), images.dtype), labels


def _mixup(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> Batch:
    """A weighted mean with the partner, labels likewise (Zhang et al. 2018: alpha 0.1 to 0.4 on ImageNet)."""
    partner_seed, share_seed = tf.unstack(tf.random.split(seed))
    partners = _partners(images, partner_seed)
    share = _beta(tf.shape(images)[0], MIXUP_ALPHA, share_seed)
    images = tf.cast(images, tf.float32)
    return _blend(images, partners, share[:, None, None, None]), _blend(labels, partners, share[:, None])


def _cutmix(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> Batch:
    """A box of the partner, labels mixed by its area inside the image (Yun et al. 2019, algorithm 1).

    Their alpha is 1, so the share of the image that is asked for is uniform. The border may clip the box.
    """
    partner_seed, share_seed, box_seed = tf.unstack(tf.random.split(seed, 3))
    partners = _partners(images, partner_seed)
    scale = tf.sqrt(tf.random.stateless_uniform((tf.shape(images)[0],), share_seed))
    height, width = images.shape[1:3]
    boxes = _boxes(images, tf.cast(scale * height, tf.int32), tf.cast(scale * width, tf.int32), box_seed)
    share = tf.reduce_mean(tf.cast(boxes, tf.float32), axis=(1, 2))
    return _blend(images, partners, tf.cast(boxes, images.dtype)), _blend(labels, partners, share)


def _partners(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """For each image the row `(b,)` of another one, by a permutation; by chance it is the image itself."""
    return tf.random.experimental.stateless_shuffle(tf.range(tf.shape(images)[0]), seed)


def _blend(values: tf.Tensor, partners: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Values with this share of their partners' in them; unchanged to the bit where both are the same.

    Shares of 0 and 1 are right for uint8 too: the difference wraps around, and the sum wraps back.
    (`tf.where` with a mask for all channels takes half as long again.)
    """
    return values + share * (tf.gather(values, partners) - values)


def _beta(count: tf.Tensor, alpha: float, seed: tf.Tensor) -> tf.Tensor:
    """Draws `(count,)` from Beta(alpha, alpha): what the first of two gamma draws is of their sum.

    A small alpha gives draws that are smaller than float32 can tell from 0, hence float64.
    """
    draws = tf.random.stateless_gamma((2, count), seed, alpha, dtype=tf.float64)
    return tf.cast(draws[0] / (draws[0] + draws[1]), tf.float32)


def _boxes(images: tf.Tensor, heights: tf.Tensor, widths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Masks `(b, h, w, 1)`, true in a box of this size `(b,)` around a random pixel of each image."""
    row_seed, column_seed = tf.unstack(tf.random.split(seed))
    rows = _intervals(images.shape[1], heights, row_seed)
    columns = _intervals(images.shape[2], widths, column_seed)
    return (rows[:, :, None] & columns[:, None, :])[..., None]


def _intervals(extent: int, lengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Masks `(b, extent)`, true on an interval of this length `(b,)` around a random position."""
    centre = tf.random.stateless_uniform(tf.shape(lengths), seed, 0, extent, tf.int32)
    offset = tf.range(extent) - (centre - lengths // 2)[:, None]
    return (offset >= 0) & (offset < lengths[:, None])


_MIXES: dict[str, Callable[[tf.Tensor, tf.Tensor, tf.Tensor], Batch]] = {
    "cutout": _cutout,
    "mixup": _mixup,
    "cutmix": _cutmix,
}


def mix_batch(images: tf.Tensor, labels: tf.Tensor, mixes: tuple[str, ...], seed: tf.Tensor) -> Batch:
    """Cut and mix the images of a batch, and their labels; a pure function of its arguments.

    Args:
        images: `(b, h, w, 3)` in [0, 255], uint8 or float32, h and w known.
        labels: one-hot `(b, k)` float32.
        mixes: names in `attention_keras.data.augmentations.MIXES`, applied in this order.
        seed: `(2,)` integers, as the stateless random operations of TensorFlow take them.

    Returns:
        Images `(b, h, w, 3)` in [0, 255], float32 after mixup and else of the same dtype, and labels
        `(b, k)` that sum to 1. A batch of one image has no other to mix with.

    Raises:
        KeyError: a name that is not known.

    Example:
        >>> images = tf.fill((4, 8, 8, 3), tf.constant(200, tf.uint8))
        >>> images, labels = mix_batch(images, tf.eye(4), ("cutout",), tf.constant([0, 0]))
        >>> images.dtype.name, sorted(set(images.numpy().ravel().tolist()))
        ('uint8', [0, 200])
    """
    for place, name in enumerate(mixes):
        images, labels = _MIXES[name](images, labels, tf.random.fold_in(seed, place))
    return images, labels
