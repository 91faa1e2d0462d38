"""tf.data batches whose order and augmentation are a pure function of (seed, epoch, step).

Nothing in the input has a state, but for KerasCV's policies. So a resumed run continues exactly where it was,
workers agree, and neither prefetching nor parallelism shows. Where objects are asked for, the mask of each
image goes along as a last channel, so that it is flipped and cropped as the image is.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from attention_keras.data.array_store import Floats
from attention_keras.data.augment import mix_batch, move_batch, policies_of
from attention_keras.data.registry import NEEDS_FILES, parse_augment
from attention_keras.data.rows import BoxMasks, Rows
from attention_keras.data.split import Split, targets_of
from attention_keras.errors import UserError
from attention_keras.models.outputs import LOGITS

READY_BATCHES = 8
# Keep the seeds of moving, mixing and cropping apart from each other and from those of the order.
_MOVING, _MIXING, _CROPPING = 1, 2, 3


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Batches in an epoch of `n` images; the last one may be smaller."""
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
    objects: np.ndarray | None = None,
    replicas: int = 1,
) -> tf.data.Dataset:
    """Shuffled, augmented batches of all epochs, in one dataset of known length.

    A batch is `(images (b, h, w, 3), targets (b, k) float32)`; images are uint8, or float32 in [0, 255] after
    mixup or a policy. With `objects` `(n,)` bool, images whose object is told, the second is a dictionary:
    `logits`, and `objects` `(b, h, w)` uint8. Weights come third, `(b,)`. `start_step` steps are skipped.
    """
    plan = parse_augment(augment)
    if objects is not None and plan.without_masks:
        raise UserError(f"augment {plan.without_masks[0]} changes images without their masks")
    if plan.crops and split.files is None:
        raise UserError(f"augment {plan.crops[0]} {NEEDS_FILES}")
    count = len(split)
    steps = steps_per_epoch(count, batch_size)
    first_epoch, first_step = divmod(start_step, steps)
    fetch = _fetcher(split, num_classes, objects, cropped=bool(plan.crops))
    begins = _beginnings(count, batch_size, replicas)
    apply_policies = policies_of(plan.policies)
    weights = None if split.weights is None else _on_cpu(split.weights / split.weights.mean())

    def steps_of(epoch):
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=tf.stack([seed, epoch]))
        skipped = tf.where(epoch == first_epoch, tf.constant(first_step, tf.int64), 0)
        return tf.data.Dataset.range(skipped, steps).map(
            lambda step: (epoch, step, order[begins[step] : begins[step + 1]])
        )

    def batch_of(epoch, step, rows):
        def seed_of(purpose):
            of_epoch = tf.random.fold_in(tf.constant([seed, purpose], tf.int64), epoch)
            return tf.random.fold_in(of_epoch, step)

        images, labels = fetch(rows, seed_of(_CROPPING))
        images = move_batch(images, plan.moves, seed_of(_MOVING))
        images, labels = mix_batch(images, labels, plan.mixes, seed_of(_MIXING))
        batch = _batch(apply_policies(images), labels, objects)
        return batch if weights is None else (*batch, tf.gather(weights, rows))

    batches = tf.data.Dataset.range(first_epoch, epochs).flat_map(steps_of).map(batch_of, tf.data.AUTOTUNE)
    return _finished(batches, epochs * steps - start_step)


def evaluation_batches(
    split: Split, *, num_classes: int, batch_size: int, objects: np.ndarray | None = None, replicas: int = 1
) -> tf.data.Dataset:
    """Every image once, in order: `(images (b, h, w, 3) uint8, targets (b, k) float32)`."""
    fetch = _fetcher(split, num_classes, objects)
    steps, begins = steps_per_epoch(len(split), batch_size), _beginnings(len(split), batch_size, replicas)

    def batch_of(step):
        return _batch(*fetch(tf.range(begins[step], begins[step + 1])), objects)

    return _finished(tf.data.Dataset.range(steps).map(batch_of, tf.data.AUTOTUNE), steps)


def _beginnings(count: int, batch_size: int, replicas: int) -> tf.Tensor:
    """Where each batch of an epoch begins, and the end of the last: `(steps + 1,)` int32."""
    full = range(0, (steps_per_epoch(count, batch_size) - 1) * batch_size, batch_size)
    return _on_cpu(np.array([*full, last_batch_start(count, batch_size, replicas), count], "int32"))


def last_batch_start(count: int, batch_size: int, replicas: int = 1) -> int:
    """First image of the last batch of an epoch, which takes some of the one before where it is too small.

    TensorFlow gives each replica `ceil(images / replicas)` images of a batch until none is left, and one
    without an image ends Keras's `fit` with an error (TensorFlow 2.21, Keras 3.15).
    """
    full = (count - 1) // batch_size * batch_size
    for start in range(full, max(0, full - batch_size) - 1, -1):
        before = [batch_size, start - full + batch_size] if full else []
        if all(-(-images // replicas) * (replicas - 1) < images for images in (count - start, *before)):
            return start
    raise UserError(
        f"{count} images in batches of {batch_size} leave one of {replicas} devices without an image; "
        f"take a larger multiple of {replicas} as batch_size, more images, or fewer devices"
    )


def _fetcher(split: Split, num_classes: int, objects: np.ndarray | None, cropped: bool = False):
    """A graph function from row numbers `(b,)`, and a seed of crops, to images, with objects, and labels."""
    targets = _on_cpu(targets_of(np.asarray(split.labels), num_classes))
    if not cropped:
        read_images = _reader(split.images)
    if objects is not None:
        told = _on_cpu(objects.astype("uint8"))
        boxes = np.zeros((len(split), 4), "float32") if split.boxes is None else split.boxes
        read_masks = _reader(BoxMasks(boxes, split.images.shape[1:3]) if split.masks is None else split.masks)

    def fetch(rows, seed=None):
        if cropped:
            draws = tf.random.stateless_uniform((tf.shape(rows)[0], 4), seed)
            images = _called(split.files.crops, [rows, draws], tf.uint8, split.files)
        else:
            images = read_images(rows)
        if objects is not None:
            shown = read_masks(rows) * tf.gather(told, rows)[:, None, None]
            images = tf.concat([images, shown[..., None]], axis=-1)
        return images, tf.gather(targets, rows)

    return fetch


def _batch(images: tf.Tensor, labels: tf.Tensor, objects: np.ndarray | None):
    """What Keras is given: objects are a target, and no channel."""
    if objects is None:
        return images, labels
    return images[..., :-1], {LOGITS: labels, "objects": images[..., -1]}


def _reader(field: np.ndarray | Rows | tuple[Floats, ...], dtype: tf.DType = tf.uint8):
    """A graph function from row numbers `(b,)` to these rows of a field: uint8, or float32 features."""
    if isinstance(field, tuple):
        columns = [_reader(column.stored, tf.uint16) for column in field]
        return lambda rows: tuple(
            tf.cast(tf.bitcast(read(rows), tf.bfloat16), tf.float32) for read in columns
        )
    if type(field) is np.ndarray:
        whole = _on_cpu(field)
        return lambda rows: tf.cast(tf.gather(whole, rows), dtype)

    def wanted(rows: np.ndarray) -> np.ndarray:
        return field[rows].astype(dtype.as_numpy_dtype, copy=False)

    return lambda rows: _called(wanted, [rows], dtype, field)


def _called(function, arguments: list[tf.Tensor], dtype: tf.DType, field: Rows) -> tf.Tensor:
    return tf.ensure_shape(tf.numpy_function(function, arguments, dtype, stateful=False), (None, *field.form))


def _on_cpu(array: np.ndarray) -> tf.Tensor:
    """Else a GPU would hold the set and the input pipeline fetch it back."""
    with tf.device("CPU:0"):
        return tf.constant(array)


def _finished(batches: tf.data.Dataset, length: int) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    # Without a known length, Keras counts one optimiser step too many per epoch.
    batches = batches.apply(tf.data.experimental.assert_cardinality(max(0, length)))
    return untuned(batches.prefetch(READY_BATCHES).with_options(options))


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same elements, without the thread that tunes parallelism and buffers while they are read.

    An iterator that ends often waits for that thread, 38 s after a `fit` of 43 s (docs/performance.md).
    Without it `AUTOTUNE` means every core for a map, which is as fast, and a prefetch needs a number.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


@contextmanager
def user_errors() -> Iterator[None]:
    """Raise the `UserError` of a function that tf.data called, of which TensorFlow keeps the text alone."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        said = re.search(r"\bUserError: (.+)", error.message)
        if said is None:
            raise
        raise UserError(said[1]) from None
