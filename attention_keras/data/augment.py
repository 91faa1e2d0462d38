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

from attention_keras.errors import needs

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
    return tf.gather(tf.reshape(padded, (-1, channels)), start_of_row[:, :, None] + columns[:, None, :])


def mix_batch(images: tf.Tensor, labels: tf.Tensor, mixes: tuple[str, ...], seed: tf.Tensor) -> Batch:
    """Cut and mix images, float32 after mixup, and labels `(b, k)` by names in `registry.MIXES`."""
    for number, name in enumerate(mixes):
        images, labels = _MIXES[name](images, labels, tf.random.fold_in(seed, number))
    return images, labels


def policies_of(names: tuple[str, ...]) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function that applies policies by names in `registry.POLICIES`: images become float32 in [0, 255]."""
    if not names:
        return lambda images: images
    with needs("this augmentation", extra="train"):
        from keras_cv.layers import GridMask, RandAugment
    policies = {
        # Two random operations on each image, at magnitude 9 of 30.
        "randaugment": partial(RandAugment, (0, 255), augmentations_per_image=2, magnitude=0.3),
        "gridmask": GridMask,
    }
    of_the_model = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # the layers inside RandAugment take no dtype
    try:
        layers = [policies[name](dtype="float32") for name in names]
    finally:
        keras.config.set_dtype_policy(of_the_model)

    def apply(images: tf.Tensor) -> tf.Tensor:
        changed = tf.cast(images, tf.float32)
        for layer in layers:
            changed = layer(changed)
        return tf.ensure_shape(tf.clip_by_value(changed, 0.0, 255.0), images.shape)

    return apply


def _flip(sampling: Sampling, seed: tf.Tensor) -> Sampling:
    """Mirror left and right with probability 1/2 (official code: exactly half of each batch)."""
    rows, columns = sampling
    mirrored = tf.random.stateless_uniform((tf.shape(rows)[0], 1), seed, 0, 2, tf.int32) == 1
    return rows, tf.where(mirrored, columns[:, ::-1], columns)


def _crop(sampling: Sampling, seed: tf.Tensor, reflect: bool = False) -> Sampling:
    """A window of the image's own size, up to 4 pixels off; beyond the border it is mirrored, or black."""
    shape = (tf.shape(sampling[0])[0], 2)
    offsets = tf.random.stateless_uniform(shape, seed, -PADDING, PADDING + 1, tf.int32)

    def shifted(positions: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
        last = positions.shape[1] - 1
        wanted = tf.range(last + 1) + offset
        mirrored = last - tf.abs(last - tf.abs(wanted))
        moved = tf.gather(positions, tf.clip_by_value(mirrored, 0, last), batch_dims=1)
        return moved if reflect else tf.where((wanted >= 0) & (wanted <= last), moved, last + 1)

    return shifted(sampling[0], offsets[:, :1]), shifted(sampling[1], offsets[:, 1:])


def _cutout(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> Batch:
    """Black out a square of half the image's side (DeVries and Taylor 2017: 16 of 32 pixels on CIFAR-10)."""
    side = tf.repeat(min(images.shape[1:3]) // 2, tf.shape(images)[0])
    return images * tf.cast(~_boxes(images, [side, side], seed), images.dtype), labels


def _mixup(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> Batch:
    """A weighted mean with the partner, labels likewise (Zhang et al. 2018: alpha 0.1 to 0.4 on ImageNet)."""
    partner_seed, share_seed = tf.unstack(tf.random.split(seed))
    # Beta(alpha, alpha) is what the first of two gamma draws is of their sum. A small alpha gives draws that
    # float32 cannot tell from 0.
    shape = (2, tf.shape(images)[0])
    draws = tf.random.stateless_gamma(shape, share_seed, MIXUP_ALPHA, dtype=tf.float64)
    share = tf.cast(draws[0] / (draws[0] + draws[1]), tf.float32)
    return _blend(
        tf.cast(images, tf.float32), labels, share[:, None, None, None], share[:, None], partner_seed
    )


def _cutmix(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> Batch:
    """A box of the partner, labels mixed by its area inside the image (Yun et al. 2019, alpha 1)."""
    partner_seed, share_seed, box_seed = tf.unstack(tf.random.split(seed, 3))
    scale = tf.sqrt(tf.random.stateless_uniform((tf.shape(images)[0],), share_seed))
    boxes = _boxes(images, [tf.cast(scale * side, tf.int32) for side in images.shape[1:3]], box_seed)
    share = tf.reduce_mean(tf.cast(boxes, tf.float32), axis=(1, 2))
    return _blend(images, labels, tf.cast(boxes, images.dtype), share, partner_seed)


def _blend(images: tf.Tensor, labels: tf.Tensor, of_pixels: tf.Tensor, of_labels: tf.Tensor, seed) -> Batch:
    """Shares of another image, by a permutation, and of its label; 0 and 1 are right for uint8, too."""
    partners = tf.random.experimental.stateless_shuffle(tf.range(tf.shape(images)[0]), seed)
    pairs = ((images, of_pixels), (labels, of_labels))
    return tuple(values + share * (tf.gather(values, partners) - values) for values, share in pairs)


def _boxes(images: tf.Tensor, sides: list[tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
    """Masks `(b, h, w, 1)`, true in a box of these two `sides` `(b,)` around a random pixel of each image."""
    inside = []
    for extent, lengths, own_seed in zip(images.shape[1:3], sides, tf.unstack(tf.random.split(seed))):
        centre = tf.random.stateless_uniform(tf.shape(lengths), own_seed, 0, extent, tf.int32)
        offset = tf.range(extent) - (centre - lengths // 2)[:, None]
        inside.append((offset >= 0) & (offset < lengths[:, None]))
    return (inside[0][:, :, None] & inside[1][:, None, :])[..., None]


_MOVES = {"flip": _flip, "crop": _crop, "crop_reflect": partial(_crop, reflect=True)}
_MIXES = {"cutout": _cutout, "mixup": _mixup, "cutmix": _cutmix}
