"""Which images tell their object, and that the object moves as its image does."""

import numpy as np
import pytest

from attention_keras.data.digits import generate_scenes
from attention_keras.data.pipeline import evaluation_batches, training_batches
from attention_keras.data.registry import CROPS, MIXES, POLICIES
from attention_keras.data.rows import DiskRows
from attention_keras.data.split import Split, choose_objects, images_with_object
from attention_keras.errors import UserError

COUNT, HEIGHT, WIDTH = 40, 14, 12


@pytest.fixture(scope="module")
def split():
    """Images that are bright exactly on their object; every fourth has no mask. Label i mod 4."""
    rng = np.random.default_rng(0)
    masks = np.zeros((COUNT, HEIGHT, WIDTH), bool)
    for mask, y, x in zip(masks, rng.integers(0, 9, COUNT), rng.integers(0, 7, COUNT)):
        mask[y : y + 5, x : x + 4] = rng.random((5, 4)) < 0.7
    images = np.repeat(np.where(masks, 200, 50)[..., None], 3, axis=-1).astype("uint8")
    masks[::4] = False
    return Split(images, (np.arange(COUNT) % 4).astype("int32"), masks)


def read(split, objects, **changes):
    options = {"num_classes": 4, "batch_size": 16, "seed": 3, "epochs": 2, "augment": "flip+crop"}
    return list(training_batches(split, objects=objects, **options | changes).as_numpy_iterator())


def test_objects_move_with_their_images(split):
    on_disk = Split(DiskRows(split.images), split.labels, DiskRows(split.masks))
    for some, augment in ((split, "none"), (split, "flip+crop"), (on_disk, "crop_reflect+flip")):
        told = images_with_object(some)
        assert told.tolist() == [False, True, True, True] * (COUNT // 4)
        shown = 0
        for (images, targets), (same, labels) in zip(
            read(some, told, augment=augment), read(some, None, augment=augment), strict=True
        ):
            np.testing.assert_array_equal(images, same, "with and without objects")
            np.testing.assert_array_equal(targets["logits"], labels)
            assert images.dtype == targets["objects"].dtype == np.uint8
            bright = (images[..., 0] == 200) & (labels.argmax(axis=1) > 0)[:, None, None]
            np.testing.assert_array_equal(targets["objects"], bright)
            shown += targets["objects"].any(axis=(1, 2)).sum()
        assert shown > COUNT


def test_nothing_changes_the_image_alone(split):
    for name in (*MIXES, *POLICIES, *CROPS):
        with pytest.raises(UserError, match=f"augment {name} changes images without their masks"):
            read(split, np.ones(COUNT, bool), augment=f"flip+{name}")
    with pytest.raises(UserError, match="augment resized_crop is cut from image files, which folder:PATH"):
        read(split, None, augment="resized_crop")


def test_a_fraction_of_those_that_have_an_object(split):
    larger = images_with_object(split)
    for fraction, count in ((1.0, 30), (0.5, 15), (0.1, 3), (0.001, 1)):
        chosen = choose_objects(split, fraction, seed=1)
        assert chosen.sum() == count and not (chosen & ~larger).any(), "a part of the larger fraction"
        assert fraction == 1 or (chosen != choose_objects(split, fraction, seed=2)).any()
        larger = chosen
    batches = evaluation_batches(split, num_classes=4, batch_size=16, objects=chosen)
    objects = np.concatenate([targets["objects"] for _, targets in batches.as_numpy_iterator()])
    np.testing.assert_array_equal(objects, split.masks & chosen[:, None, None], "others have an empty mask")


def test_boxes_are_masks_where_there_are_none():
    scenes = generate_scenes("train", 9)
    boxes = scenes.boxes.copy()
    boxes[4] = 0  # no box
    expected = np.zeros((9, 32, 32), bool)
    for mask, (top, left, bottom, right) in zip(expected, boxes.astype(int)):
        mask[top:bottom, left:right] = True
    split = Split(scenes.images, scenes.labels, boxes=boxes)
    told = images_with_object(split)
    assert told.tolist() == [row != 4 for row in range(9)]
    ((_, targets),) = evaluation_batches(split, num_classes=10, batch_size=9, objects=told)
    np.testing.assert_array_equal(targets["objects"], expected)
