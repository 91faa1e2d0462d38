from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from attention_keras.data.pipeline import evaluation_batches, last_batch_start, training_batches
from attention_keras.data.split import Split
from attention_keras.errors import UserError

COUNT, CLASSES = 50, 5


@pytest.fixture(scope="module")
def split():
    """Image i has value i in channel 0; its label is i mod 5."""
    images = np.random.default_rng(0).integers(1, 256, (COUNT, 12, 10, 3), dtype="uint8")
    images[..., 0] = np.arange(COUNT)[:, None, None] + 1
    return Split(images, (np.arange(COUNT) % CLASSES).astype("int32"))


def batches_of(split, **changes):
    options = {"num_classes": CLASSES, "batch_size": 8, "seed": 3, "epochs": 2, "augment": "flip+crop"}
    return training_batches(split, **options | changes)


def read(split, **changes):
    return list(batches_of(split, **changes).as_numpy_iterator())


def assert_same(some, others):
    for batch, other in zip(some, others, strict=True):
        for values, same in zip(batch, other, strict=True):
            np.testing.assert_array_equal(values, same)


def rows_of(batches):
    """Which image each row is, from the value that augmentation does not touch."""
    return np.concatenate([images[..., 0].max(axis=(1, 2)).astype(int) - 1 for images, *_ in batches])


def test_every_image_once_an_epoch_in_another_order_with_its_label_and_weight(split):
    weights = np.arange(1, COUNT + 1, dtype="float32")
    batches = read(replace(split, weights=weights))
    rows = rows_of(batches).reshape(2, COUNT)
    np.testing.assert_array_equal(np.sort(rows, axis=1), [np.arange(COUNT)] * 2)
    assert (rows[0] != rows[1]).mean() > 0.8
    assert (rows[0] != np.arange(COUNT)).mean() > 0.8
    _, labels, found = (np.concatenate(part) for part in zip(*batches))
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, np.eye(CLASSES)[rows.ravel() % CLASSES])
    np.testing.assert_allclose(found, weights[rows.ravel()] / weights.mean(), err_msg="1 on average")


def test_a_function_of_seed_epoch_and_step(split):
    for augment in ("flip+crop", "crop+mixup+cutout+cutmix"):
        whole = read(split, augment=augment)
        for start_step in (0, 1, 6, 7, 8, 13, 14):
            assert_same(read(split, augment=augment, start_step=start_step), whole[start_step:])
        assert (whole[0][0] != read(split, augment=augment, seed=4)[0][0]).any()


def test_neither_threads_nor_prefetching_show(split):
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False
    assert_same(batches_of(split).with_options(options).as_numpy_iterator(), read(split))


def test_known_length_and_partial_last_batch(split):
    batches = batches_of(split, epochs=3, start_step=4)
    assert batches.cardinality() == 3 * 7 - 4
    assert [len(images) for images, _ in read(split)] == [8, 8, 8, 8, 8, 8, 2] * 2
    shape = tf.TensorSpec((None, 12, 10, 3), tf.uint8), tf.TensorSpec((None, CLASSES), tf.float32)
    assert batches.element_spec == shape


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


def test_no_replica_is_left_out_of_the_last_batch(split):
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
    for count, batch_size in ((3, 64), (1000, 9)):
        with pytest.raises(UserError, match=f"{count} images in batches of {batch_size} leave one of 8"):
            last_batch_start(count, batch_size, 8)
    part, options = split.take(slice(21)), {"num_classes": CLASSES, "batch_size": 10, "replicas": 2}
    for batches in (evaluation_batches(part, **options), batches_of(part, epochs=1, **options)):
        seen = list(batches.as_numpy_iterator())
        assert [len(images) for images, _ in seen] == [10, 9, 2]
        assert sorted(rows_of(seen)) == list(range(21))


def test_tensorflow_divides_batches_like_that(split):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    batches = evaluation_batches(split.take(slice(11)), num_classes=CLASSES, batch_size=5)
    found = [
        [len(part) for part in strategy.experimental_local_results(images)]
        for images, _ in strategy.experimental_distribute_dataset(batches)
    ]
    assert found == [pieces(size, 2) for size in (5, 5, 1)] == [[3, 2], [3, 2], [1, 0]]
