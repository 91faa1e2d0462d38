"""tf.data batches whose order and augmentation are a pure function of (seed, epoch, step).

Nothing in the input has a state: epoch e visits the images in a permutation drawn from (seed, e), and
step s of it flips and crops with draws from (seed, e, s). So a resumed run continues exactly where it was
(by counting, not by replaying), workers agree, and neither prefetching nor parallelism shows.
The policies of KerasCV are the exception, see `policies.py`.
"""

import numpy as np
import tensorflow as tf

from attention_keras.data.augment import move_batch
from attention_keras.data.augmentations import parse_augment
from attention_keras.data.policies import policy_map
from attention_keras.data.split import Split
from attention_keras.data.untuned import untuned

READY_BATCHES = 8
# Keeps the seeds of augmentation apart from those of the order.
_AUGMENTATION = 1


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Batches in an epoch of `n` images; the last one may be smaller.

    Example:
        >>> steps_per_epoch(100, 32)
        4
    """
    return -(-n // batch_size)


def training_batches(
    split: Split,
    *,
    num_classes: int,
    batch_size: int,
    seed: int,
    epochs: int,
    augment: str = "none",
    start_step: int = 0,
) -> tf.data.Dataset:
    """Shuffled, augmented batches of all epochs, in one dataset of known length.

    Args:
        split: images and labels.
        num_classes: k.
        batch_size: images in a batch; every image comes once an epoch, so the last batch may be smaller.
        seed: fixes order and augmentation.
        epochs: number of epochs, counted from the start of the run.
        augment: `none`, or names of `attention_keras.data.augmentations` joined by `+`.
        start_step: steps of the run that are done already; skipped without reading an image.

    Returns:
        Dataset of `(images (b, h, w, 3), one-hot labels (b, k) float32)`; images are uint8, or float32 in
        [0, 255] after a policy.

    Raises:
        UserError: an unknown augmentation.

    Example:
        >>> split = Split(np.zeros((10, 8, 8, 3), "uint8"), np.arange(10, dtype="int32"))
        >>> batches = training_batches(split, num_classes=10, batch_size=4, seed=0, epochs=2, start_step=1)
        >>> [len(images) for images, labels in batches]
        [4, 2, 4, 4, 2]
    """
    plan = parse_augment(augment)
    count = len(split)
    steps = steps_per_epoch(count, batch_size)
    first_epoch, first_step = divmod(start_step, steps)
    fetch = _fetcher(split, num_classes)

    def steps_of(epoch):
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=tf.stack([seed, epoch]))
        skipped = tf.where(epoch == first_epoch, tf.constant(first_step, tf.int64), 0)
        return tf.data.Dataset.range(skipped, steps).map(
            lambda step: (epoch, step, order[step * batch_size : (step + 1) * batch_size])
        )

    def batch_of(epoch, step, rows):
        images, labels = fetch(rows)
        key = tf.random.fold_in(tf.constant([seed, _AUGMENTATION], tf.int64), epoch)
        return move_batch(images, plan.moves, tf.random.fold_in(key, step)), labels

    batches = tf.data.Dataset.range(first_epoch, epochs).flat_map(steps_of)
    batches = batches.map(batch_of, tf.data.AUTOTUNE)
    if plan.policies:
        batches = batches.map(policy_map(plan.policies), tf.data.AUTOTUNE)
    return _finished(batches, epochs * steps - start_step)


def evaluation_batches(split: Split, *, num_classes: int, batch_size: int) -> tf.data.Dataset:
    """Every image once, in order: `(images (b, h, w, 3) uint8, one-hot labels (b, k) float32)`.

    Args:
        split: images and labels.
        num_classes: k.
        batch_size: images in a batch; the last one may be smaller.
    """
    fetch = _fetcher(split, num_classes)
    count = len(split)

    def batch_at(step):
        return fetch(tf.range(step * batch_size, tf.minimum((step + 1) * batch_size, count)))

    steps = steps_per_epoch(count, batch_size)
    return _finished(tf.data.Dataset.range(steps).map(batch_at, tf.data.AUTOTUNE), steps)


def _fetcher(split: Split, num_classes: int):
    """A graph function from row numbers `(b,)` to images and one-hot labels."""
    with tf.device("CPU:0"):  # else a GPU would hold the set and the input pipeline fetch it back
        labels = tf.constant(split.labels, tf.int32)
        in_memory = type(split.images) is np.ndarray
        images = tf.constant(split.images) if in_memory else None

    def fetch(rows):
        if in_memory:
            batch = tf.gather(images, rows)
        else:
            batch = tf.numpy_function(lambda wanted: split.images[wanted], [rows], tf.uint8, stateful=False)
        batch = tf.ensure_shape(batch, (None, *split.images.shape[1:]))
        return batch, tf.one_hot(tf.gather(labels, rows), num_classes)

    return fetch


def _finished(batches: tf.data.Dataset, length: int) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    # Without a known length, Keras counts one optimiser step too many per epoch.
    batches = batches.apply(tf.data.experimental.assert_cardinality(max(0, length)))
    return untuned(batches.prefetch(READY_BATCHES).with_options(options))
