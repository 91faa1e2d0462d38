"""What is done to a batch of images in the graph: moves, mixes, and the policies of KerasCV.

Each image has its own draw. Moves and mixes are pure functions of a batch and a seed, which those of
`keras.layers` are not; policies draw from TensorFlow's stateful random numbers.

A flip or a crop only says where each row and column of the result comes from. So any number of them
compose on two small index arrays, and a batch is moved once, by one gather.
"""

from collections.abc import Callable
from functools import partial

import keras
import tensorflow as tf

from attention_keras.extras import needs

PADDING = 4
MIXUP_ALPHA = 0.2

Batch = tuple[tf.Tensor, tf.Tensor]
Sampling = tuple[tf.Tensor, tf.Tensor]
"""Where a batch is sampled: source rows `(b, h)` and columns `(b, w)`; row h, column w are black."""


def move_batch(images: tf.Tensor, moves: tuple[str, ...], seed: tf.Tensor) -> tf.Tensor:
    """Flip and crop images `(b, h, w, c)` by names in `registry.MOVES`, in this order; `seed` `(2,)`."""
    if not moves:
        return images
    batch = tf.shape(images)[0]
    rows, columns = (tf.tile(tf.range(side)[None], (batch, 1)) for side in images.shape[1:3])
    for number, name in enumerate(moves):
        rows, columns = _MOVES[name]((rows, columns), tf.random.fold_in(seed, number))
    # Single pixels, by far the fastest way, from images with a black row and column added.
    padded = tf.pad(images, [[0, 0], [0, 1], [0, 1], [0, 0]])
    height, width, channels = padded.shape[1:]
    start_of_row = (tf.range(batch)[:, None] * height + rows) * width
    index = start_of_row[:, :, None] + columns[:, None, :]
    return tf.gather(tf.reshape(padded, (-1, channels)), index)


def mix_batch(images: tf.Tensor, labels: tf.Tensor, mixes: tuple[str, ...], seed: tf.Tensor) -> Batch:
    """Cut and mix images, float32 after mixup, and labels `(b, k)` by names in `registry.MIXES`."""
    for number, name in enumerate(mixes):
        images, labels = _MIXES[name](images, labels, tf.random.fold_in(seed, number))
    return images, labels


def policy_map(names: tuple[str, ...]) -> Callable[[tf.Tensor, tf.Tensor], Batch]:
    """A function for `tf.data.Dataset.map` that applies `registry.POLICIES`: float32 in [0, 255]."""
    with needs("this augmentation", extra="train"):
        from keras_cv.layers import GridMask, RandAugment

    policies = {
        # Two random operations on each image, at magnitude 9 of 30.
        "randaugment": lambda: RandAugment(
            value_range=(0, 255), augmentations_per_image=2, magnitude=0.3, dtype="float32"
        ),
        "gridmask": lambda: GridMask(dtype="float32"),
    }
    of_the_model = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # the layers inside RandAugment take no dtype
    try:
        layers = [policies[name]() for name in names]
    finally:
        keras.config.set_dtype_policy(of_the_model)

    def apply(images, *labels):
        shape = images.shape
        images = tf.cast(images, tf.float32)
        for layer in layers:
            images = layer(images)
        return tf.ensure_shape(tf.clip_by_value(images, 0.0, 255.0), shape), *labels

    return apply


def _flip(sampling: Sampling, seed: tf.Tensor) -> Sampling:
    """Mirror left and right with probability 1/2 (official code: exactly half of each batch)."""
    rows, columns = sampling
    mirrored = tf.random.stateless_uniform((tf.shape(rows)[0], 1), seed, 0, 2, tf.int32) == 1
    return rows, tf.where(mirrored, columns[:, ::-1], columns)


def _crop(sampling: Sampling, seed: tf.Tensor, reflect: bool = False) -> Sampling:
    """A window of the image's own size, up to 4 pixels off in each direction."""
    rows, columns = sampling
    offsets = tf.random.stateless_uniform((tf.shape(rows)[0], 2), seed, -PADDING, PADDING + 1, tf.int32)
    return _shift(rows, offsets[:, :1], reflect), _shift(columns, offsets[:, 1:], reflect)


def _shift(positions: tf.Tensor, offset: tf.Tensor, reflect: bool) -> tf.Tensor:
    """Positions `(b, m)` moved by offset `(b, 1)`; beyond the border mirrored at it, or black."""
    last = positions.shape[1] - 1
    wanted = tf.range(last + 1) + offset
    mirrored = last - tf.abs(last - tf.abs(wanted))
    moved = tf.gather(positions, tf.clip_by_value(mirrored, 0, last), batch_dims=1)
    if reflect:
        return moved
    return tf.where((wanted >= 0) & (wanted <= last), moved, last + 1)


def _cutout(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> Batch:
    """Black out a square of half the image's side (DeVries and Taylor 2017: 16 of 32 pixels on CIFAR-10)."""
    height, width = images.shape[1:3]
    side = tf.repeat(min(height, width) // 2, tf.shape(images)[0])
    return images * tf.cast(~_boxes(images, side, side, seed), images.dtype), labels


def _mixup(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> Batch:
    """A weighted mean with the partner, labels likewise (Zhang et al. 2018: alpha 0.1 to 0.4 on ImageNet)."""
    partner_seed, share_seed = tf.unstack(tf.random.split(seed))
    partners = _partners(images, partner_seed)
    # Beta(alpha, alpha) is what the first of two gamma draws is of their sum. A small alpha gives draws that
    # float32 cannot tell from 0.
    shape = (2, tf.shape(images)[0])
    draws = tf.random.stateless_gamma(shape, share_seed, MIXUP_ALPHA, dtype=tf.float64)
    share = tf.cast(draws[0] / (draws[0] + draws[1]), tf.float32)
    images = tf.cast(images, tf.float32)
    return _blend(images, partners, share[:, None, None, None]), _blend(labels, partners, share[:, None])


def _cutmix(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> Batch:
    """A box of the partner, labels mixed by its area inside the image (Yun et al. 2019, alpha 1)."""
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
    """Values with this share of their partners'; 0 and 1 are right for uint8, which wraps around."""
    return values + share * (tf.gather(values, partners) - values)


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


_MOVES: dict[str, Callable[[Sampling, tf.Tensor], Sampling]] = {
    "flip": _flip,
    "crop": _crop,
    "crop_reflect": partial(_crop, reflect=True),
}
_MIXES: dict[str, Callable[[tf.Tensor, tf.Tensor, tf.Tensor], Batch]] = {
    "cutout": _cutout,
    "mixup": _mixup,
    "cutmix": _cutmix,
}
