"""tf.data batches whose order and augmentation are a pure function of (seed, epoch, step).

Nothing in the input has a state: epoch e visits the images in a permutation drawn from (seed, e), and
step s of it moves and mixes them with draws from (seed, e, s). So a resumed run continues exactly where it
was (by counting, not by replaying), workers agree, and neither prefetching nor parallelism shows.
The policies of KerasCV are the exception, see `policies.py`.

In place of pixels, a split may have the features of a frozen network (`features.py`), or pictures that are
decoded batch by batch (`picture_rows.py`); random-resized crops are always cut from the files.

Where objects are asked for, the mask of each image goes along as a fourth channel, so that it is flipped
and cropped as the image is; mixes and policies, which would leave it as it was, are refused. An image whose
object is unknown, or was cropped away, has an empty mask.
"""

import numpy as np
import tensorflow as tf

from attention_keras.data.array_store import DiskRows
from attention_keras.data.augment import move_batch
from attention_keras.data.augmentations import NEEDS_FILES, parse_augment
from attention_keras.data.features import FeatureRows
from attention_keras.data.last_batch import last_batch_start
from attention_keras.data.mixing import mix_batch
from attention_keras.data.objects import BoxMasks
from attention_keras.data.picture_rows import PictureRows
from attention_keras.data.policies import policy_map
from attention_keras.data.split import Split
from attention_keras.data.untuned import untuned
from attention_keras.errors import UserError
from attention_keras.models.outputs import LOGITS

READY_BATCHES = 8
# Keep the seeds of moving, mixing and cropping apart from each other and from those of the order.
_MOVING, _MIXING, _CROPPING = 1, 2, 3


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
    objects: np.ndarray | None = None,
    replicas: int = 1,
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
        objects: `(n,)` bool, the images whose object is told; None for a pipeline without objects.
        replicas: devices that share a batch (see `last_batch_start`).

    Returns:
        Dataset of `(images (b, h, w, 3), one-hot labels (b, k) float32)`; images are uint8, or float32 in
        [0, 255] after mixup or a policy. Mixup and cutmix mix the labels as well. With `objects`, the
        second is a dictionary: `logits`, the labels, and `objects` `(b, h, w)` uint8, 1 on the object.

    Raises:
        UserError: an unknown augmentation, crops of files where there are none, objects with what changes
            the image and not its mask, or a replica without images.

    Example:
        >>> split = Split(np.zeros((10, 8, 8, 3), "uint8"), np.arange(10, dtype="int32"))
        >>> batches = training_batches(split, num_classes=10, batch_size=4, seed=0, epochs=2, start_step=1)
        >>> [len(images) for images, labels in batches]
        [4, 2, 4, 4, 2]
    """
    plan = parse_augment(augment)
    if objects is not None and plan.without_masks:
        raise UserError(f"augment {plan.without_masks[0]} changes images without their masks")
    if plan.crops and split.pictures is None:
        raise UserError(f"augment {plan.crops[0]} {NEEDS_FILES}")
    count = len(split)
    steps = steps_per_epoch(count, batch_size)
    first_epoch, first_step = divmod(start_step, steps)
    fetch = _fetcher(split, num_classes, objects, cropped=bool(plan.crops))
    begins = _beginnings(count, batch_size, replicas)

    def steps_of(epoch):
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=tf.stack([seed, epoch]))
        skipped = tf.where(epoch == first_epoch, tf.constant(first_step, tf.int64), 0)
        return tf.data.Dataset.range(skipped, steps).map(
            lambda step: (epoch, step, order[begins[step] : begins[step + 1]])
        )

    def seed_of(purpose, epoch, step):
        of_epoch = tf.random.fold_in(tf.constant([seed, purpose], tf.int64), epoch)
        return tf.random.fold_in(of_epoch, step)

    def batch_of(epoch, step, rows):
        images, labels = fetch(rows, seed_of(_CROPPING, epoch, step))
        images = move_batch(images, plan.moves, seed_of(_MOVING, epoch, step))
        if objects is not None:
            return _with_objects(images, labels)
        return mix_batch(images, labels, plan.mixes, seed_of(_MIXING, epoch, step))

    batches = tf.data.Dataset.range(first_epoch, epochs).flat_map(steps_of)
    batches = batches.map(batch_of, tf.data.AUTOTUNE)
    if plan.policies:
        batches = batches.map(policy_map(plan.policies), tf.data.AUTOTUNE)
    return _finished(batches, epochs * steps - start_step)


def evaluation_batches(
    split: Split,
    *,
    num_classes: int,
    batch_size: int,
    objects: np.ndarray | None = None,
    replicas: int = 1,
) -> tf.data.Dataset:
    """Every image once, in order: `(images (b, h, w, 3) uint8, one-hot labels (b, k) float32)`.

    Args:
        split: images and labels.
        num_classes: k.
        batch_size: images in a batch; the last one may be smaller.
        objects: as `training_batches` takes it, and with the same result.
        replicas: devices that share a batch (see `last_batch_start`).

    Raises:
        UserError: a replica would be without images.
    """
    fetch = _fetcher(split, num_classes, objects)
    begins = _beginnings(len(split), batch_size, replicas)

    def batch_at(step):
        batch = fetch(tf.range(begins[step], begins[step + 1]))
        return batch if objects is None else _with_objects(*batch)

    steps = steps_per_epoch(len(split), batch_size)
    return _finished(tf.data.Dataset.range(steps).map(batch_at, tf.data.AUTOTUNE), steps)


def _beginnings(count: int, batch_size: int, replicas: int) -> tf.Tensor:
    """Where each batch of an epoch begins, and the end of the last: `(steps + 1,)` int32."""
    full = np.arange(steps_per_epoch(count, batch_size) - 1) * batch_size
    return _on_cpu(np.array([*full, last_batch_start(count, batch_size, replicas), count], "int32"))


def _fetcher(split: Split, num_classes: int, objects: np.ndarray | None, cropped: bool = False):
    """A graph function from row numbers `(b,)` to images, with the objects behind them, and labels.

    Images may come as random-resized crops, drawn from its second argument, a seed.
    """
    read_images = _crop_reader(split.pictures) if cropped else _reader(split.images)
    read_objects = None if objects is None else _object_reader(split, objects)
    labels = _on_cpu(np.asarray(split.labels, "int32"))

    def fetch(rows, seed=None):
        images = read_images(rows, seed) if cropped else read_images(rows)
        if read_objects is not None:
            images = tf.concat([images, read_objects(rows)[..., None]], axis=-1)
        return images, tf.one_hot(tf.gather(labels, rows), num_classes)

    return fetch


def _reader(field: np.ndarray | DiskRows | PictureRows | BoxMasks | FeatureRows):
    """A graph function from row numbers `(b,)` to these rows of a field: uint8, or float32 features."""
    if isinstance(field, FeatureRows):
        columns = [_column_reader(column, tf.uint16) for column in field.columns]
        return lambda rows: tuple(
            tf.cast(tf.bitcast(read(rows), tf.bfloat16), tf.float32) for read in columns
        )
    return _column_reader(field, tf.uint8)


def _column_reader(field: np.ndarray | DiskRows | PictureRows | BoxMasks, dtype: tf.DType):
    if type(field) is np.ndarray:
        whole = _on_cpu(field)
        return lambda rows: tf.cast(tf.gather(whole, rows), dtype)

    def read(rows):
        batch = tf.numpy_function(
            lambda wanted: field[wanted].astype(dtype.as_numpy_dtype, copy=False),
            [rows],
            dtype,
            stateful=False,
        )
        return tf.ensure_shape(batch, (None, *field.shape[1:]))

    return read


def _crop_reader(pictures: PictureRows):
    """A graph function from row numbers `(b,)` and a seed to random-resized crops of these pictures."""

    def read(rows, seed):
        draws = tf.random.stateless_uniform((tf.shape(rows)[0], 4), seed)
        batch = tf.numpy_function(pictures.crops, [rows, draws], tf.uint8, stateful=False)
        return tf.ensure_shape(batch, (None, *pictures.shape[1:]))

    return read


def _object_reader(split: Split, objects: np.ndarray):
    """A graph function from row numbers `(b,)` to masks `(b, h, w)`, empty where the object is not told."""
    height, width = split.images.shape[1:3]
    told = _on_cpu(objects.astype("uint8"))
    boxes = np.zeros((len(split), 4), "float32") if split.boxes is None else split.boxes
    read_masks = _reader(BoxMasks(boxes, (height, width)) if split.masks is None else split.masks)
    return lambda rows: read_masks(rows) * tf.gather(told, rows)[:, None, None]


def _on_cpu(array: np.ndarray) -> tf.Tensor:
    """Else a GPU would hold the set and the input pipeline fetch it back."""
    with tf.device("CPU:0"):
        return tf.constant(array)


def _with_objects(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Split the objects off again that went behind the images."""
    return images[..., :-1], {LOGITS: labels, "objects": images[..., -1]}


def _finished(batches: tf.data.Dataset, length: int) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    # Without a known length, Keras counts one optimiser step too many per epoch.
    batches = batches.apply(tf.data.experimental.assert_cardinality(max(0, length)))
    return untuned(batches.prefetch(READY_BATCHES).with_options(options))
