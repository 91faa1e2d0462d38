"""Flips, crops and policies, each image with its own draw."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from attention_keras.data import augment, registry
from attention_keras.data.augment import PADDING, move_batch
from attention_keras.data.pipeline import training_batches
from attention_keras.data.registry import POLICIES, Augment, parse_augment
from attention_keras.data.split import Split
from attention_keras.errors import UserError

HEIGHT, WIDTH = 12, 10


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(1, 256, (HEIGHT, WIDTH, 3), dtype="uint8")


def augmented(image, *names, seed=0, copies=64):
    return move_batch(tf.constant(np.stack([image] * copies)), names, tf.constant([seed, 0])).numpy()


def crops_of(image, mode):
    """Every crop there is, by its offset: the definition, written with numpy."""
    padded = np.pad(image, [(PADDING, PADDING), (PADDING, PADDING), (0, 0)], mode=mode)
    offsets = np.ndindex(2 * PADDING + 1, 2 * PADDING + 1)
    return {padded[y : y + HEIGHT, x : x + WIDTH].tobytes(): (y, x) for y, x in offsets}


def test_crops_are_crops_each_with_its_own_offset(image):
    for name, mode in (("crop", "constant"), ("crop_reflect", "reflect")):
        crops = crops_of(image, mode)
        offsets = {crops[result.tobytes()] for result in augmented(image, name, copies=512)}
        assert len(offsets) > 75, "of 81 offsets"


def test_half_of_the_images_are_mirrored(image):
    results = augmented(image, "flip", copies=512)
    mirrored = (results == image[:, ::-1]).all(axis=(1, 2, 3))
    assert (mirrored | (results == image).all(axis=(1, 2, 3))).all()
    assert 200 < mirrored.sum() < 312


def test_flip_and_crop_compose(image):
    for names in (("flip", "crop"), ("crop", "flip"), ("crop_reflect", "flip")):
        mode = "reflect" if "crop_reflect" in names else "constant"
        known = crops_of(image, mode) | crops_of(image[:, ::-1], mode)
        results = {result.tobytes() for result in augmented(image, *names, copies=512)}
        assert results <= set(known)
        assert len(results) > 140, "of 162"
    results = augmented(image, "crop", "crop_reflect", copies=256)
    assert (results == 0).any(), "what is outside stays black"
    assert results.shape == (256, HEIGHT, WIDTH, 3) and results.dtype == np.uint8


def test_names():
    assert parse_augment("none") == Augment()
    assert parse_augment("flip+crop") == Augment(("flip", "crop"))
    ordered = Augment(("flip",), ("cutmix", "cutout"), ("gridmask",))
    assert parse_augment("gridmask+cutmix+flip+cutout") == ordered
    assert parse_augment("flip+crop+cutout+mixup+cutmix").is_repeatable
    assert not parse_augment("cutmix+randaugment").is_repeatable
    for wrong in ("", "flip+", "flip+flip", "none+flip", "Flip"):
        with pytest.raises(UserError, match="allowed: none, or any of flip, crop, crop_reflect"):
            parse_augment(wrong)
    assert tuple(augment._MOVES) == registry.MOVES, "what the command line knows is what there is"
    assert tuple(augment._MIXES) == registry.MIXES


def read(split, augment, count=17):
    batches = training_batches(split, num_classes=4, batch_size=8, seed=0, epochs=1, augment=augment)
    images, labels = zip(*batches.as_numpy_iterator())
    return np.concatenate(images), np.concatenate(labels)


def test_policies_in_the_pipeline():
    """Also with a last batch of one image; they come last and leave the labels as they were."""
    images = np.random.default_rng(0).integers(0, 256, (17, 16, 16, 3), dtype="uint8")
    split = Split(images, (np.arange(17) % 4).astype("int32"))
    plain, plain_labels = read(split, "flip+cutmix")
    earlier = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")  # which is the model's precision, not the images'
    try:
        for name in POLICIES:
            images, labels = read(split, f"{name}+flip+cutmix")
            assert images.shape == plain.shape and images.dtype == labels.dtype == np.float32
            assert images.min() >= 0 and images.max() <= 255 and np.isfinite(images).all()
            assert (images != plain).any(axis=(1, 2, 3)).mean() > 0.5
            np.testing.assert_array_equal(labels, plain_labels)
            if name == "gridmask":
                shown = (images == plain).all(axis=-1)
                assert (images[~shown] == 0).all() and 0.2 < shown.mean() < 0.95
    finally:
        keras.config.set_dtype_policy(earlier)
