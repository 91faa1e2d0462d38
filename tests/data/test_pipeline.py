from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from attention_keras.data.pipeline import (
    evaluation_batches,
    last_batch_start,
    steps_per_epoch,
    training_batches,
)
from attention_keras.data.split import Split
from attention_keras.errors import UserError

COUNT, CLASSES = 50, 5


@pytest.fixture(scope="module")
def split():
    """Image i has value i in channel 0; its label is i mod 5."""
    images = np.random.default_rng(0).integers(1, 256, (COUNT, 12, 10, 3), dtype="uint8")
    images[..., 0] = np.arange(COUNT)[:, None, None] + 1
    return Split(images, (np.arange(COUNT) % CLASSES).astype("int32"))


def read(split, **changes):
    options = {"num_classes": CLASSES, "batch_size": 8, "seed": 3, "epochs": 2, "augment": "flip+crop"}
    batches = training_batches(split, **options | changes)
    return [(images.numpy(), labels.numpy()) for images, labels in batches]


def assert_same(some, others):
    assert len(some) == len(others)
    for (images, labels), (other_images, other_labels) in zip(some, others):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


def rows_of(batches):
    """Which image each row is, from the value that augmentation does not touch."""
    return np.concatenate([images[..., 0].max(axis=(1, 2)).astype(int) - 1 for images, _ in batches])


def test_every_image_once_an_epoch_in_another_order(split):
    rows = rows_of(read(split)).reshape(2, COUNT)
    np.testing.assert_array_equal(np.sort(rows, axis=1), [np.arange(COUNT)] * 2)
    assert (rows[0] != rows[1]).mean() > 0.8
    assert (rows[0] != np.arange(COUNT)).mean() > 0.8


def test_labels_stay_with_images_and_are_one_hot(split):
    batches = read(split)
    labels = np.concatenate([labels for _, labels in batches])
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, np.eye(CLASSES)[rows_of(batches) % CLASSES])


def test_weights_come_third_and_are_1_on_average(split):
    weights = np.arange(1, COUNT + 1, dtype="float32")
    options = {"num_classes": CLASSES, "batch_size": 8, "seed": 3, "epochs": 1, "augment": "flip"}
    batches = list(training_batches(replace(split, weights=weights), **options).as_numpy_iterator())
    found = np.concatenate([each for *_, each in batches])
    np.testing.assert_allclose(found, weights[rows_of([batch[:2] for batch in batches])] / weights.mean())


def test_a_function_of_seed_epoch_and_step(split):
    for augment in ("flip+crop", "crop+mixup+cutout+cutmix"):
        whole = read(split, augment=augment)
        assert_same(whole, read(split, augment=augment))
        for start_step in (1, 6, 7, 8, 13, 14):
            assert_same(read(split, augment=augment, start_step=start_step), whole[start_step:])
        assert (whole[0][0] != read(split, augment=augment, seed=4)[0][0]).any()


def test_neither_threads_nor_prefetching_show(split):
    batches = training_batches(
        split, num_classes=CLASSES, batch_size=8, seed=3, epochs=2, augment="flip+crop"
    )
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False
    alone = [(images.numpy(), labels.numpy()) for images, labels in batches.with_options(options)]
    assert_same(alone, read(split))


def test_known_length_and_partial_last_batch(split):
    batches = training_batches(split, num_classes=CLASSES, batch_size=8, seed=0, epochs=3, start_step=4)
    assert steps_per_epoch(COUNT, 8) == 7
    assert batches.cardinality() == 3 * 7 - 4
    assert [len(images) for images, _ in read(split)] == [8, 8, 8, 8, 8, 8, 2] * 2
    assert batches.element_spec[0] == tf.TensorSpec((None, 12, 10, 3), tf.uint8)
    assert batches.element_spec[1] == tf.TensorSpec((None, CLASSES), tf.float32)


def test_evaluation_is_in_order_and_complete(split):
    batches = evaluation_batches(split, num_classes=CLASSES, batch_size=16)
    assert batches.cardinality() == 4
    images, labels = (np.concatenate(part) for part in zip(*batches.as_numpy_iterator()))
    np.testing.assert_array_equal(images, split.images)
    np.testing.assert_array_equal(labels, np.eye(CLASSES)[split.labels])


def pieces(batch, replicas):
    """Images of each replica, as TensorFlow divides a batch of a size that it learns late."""
    size = -(-batch // replicas)
    return [max(0, min(size, batch - size * index)) for index in range(replicas)]


def test_no_replica_is_left_out_of_the_last_batch():
    for replicas in (1, 2, 3, 8):
        moved = 0
        for count in range(1, 400):
            try:
                start = last_batch_start(count, 64, replicas)
            except UserError:
                assert count < 64 + replicas * (replicas - 1)
                continue
            whole = (count - 1) // 64 * 64
            batches = [64] * (whole // 64 - 1) + [start - whole + 64] * (whole > 0) + [count - start]
            assert sum(batches) == count and all(min(pieces(batch, replicas)) for batch in batches)
            moved += start != whole
            if min(pieces(count - whole, replicas)):
                assert start == whole  # nothing is moved without need
        assert (moved > 0) == (replicas > 1)
    with pytest.raises(UserError, match="3 images in batches of 64 leave one of 8 devices without an image"):
        last_batch_start(3, 64, 8)
    with pytest.raises(UserError, match="take a larger multiple of 8 as batch_size"):
        last_batch_start(1000, 9, 8)


def test_tensorflow_divides_batches_like_that():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    split = Split(np.zeros((11, 4, 4, 3), "uint8"), np.zeros(11, "int32"))
    batches = evaluation_batches(split, num_classes=2, batch_size=5)
    found = [
        [len(part) for part in strategy.experimental_local_results(images)]
        for images, _ in strategy.experimental_distribute_dataset(batches)
    ]
    assert found == [pieces(size, 2) for size in (5, 5, 1)] == [[3, 2], [3, 2], [1, 0]]


def test_every_image_comes_once_whatever_the_replicas():
    labels = np.arange(21, dtype="int32")
    split = Split(np.tile(labels.astype("uint8")[:, None, None, None], (1, 2, 2, 3)), labels % 2)
    options = {"num_classes": 2, "batch_size": 10, "replicas": 2}
    for batches in (
        evaluation_batches(split, **options),
        training_batches(split, seed=0, epochs=1, **options),
    ):
        seen = [images[:, 0, 0, 0].numpy().tolist() for images, _ in batches]
        assert [len(batch) for batch in seen] == [10, 9, 2]
        assert sorted(number for batch in seen for number in batch) == labels.tolist()
