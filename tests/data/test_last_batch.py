"""Every replica has an image in every batch, by the way that TensorFlow itself divides batches."""

import numpy as np
import pytest
import tensorflow as tf

from attention_keras.data.last_batch import last_batch_start
from attention_keras.data.pipeline import evaluation_batches, training_batches
from attention_keras.data.split import Split
from attention_keras.errors import UserError


def pieces(batch, replicas):
    """Images of each replica, as TensorFlow divides a batch of a size that it learns late."""
    size = -(-batch // replicas)
    return [max(0, min(size, batch - size * index)) for index in range(replicas)]


@pytest.mark.parametrize("replicas", [1, 2, 3, 8])
def test_no_replica_is_left_out(replicas):
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


def test_too_few_images_for_the_devices_are_one_line():
    with pytest.raises(UserError, match="3 images in batches of 64 leave one of 8 devices without an image"):
        last_batch_start(3, 64, 8)
    with pytest.raises(UserError, match="take a larger multiple of 8 as batch_size"):
        last_batch_start(1000, 9, 8)
