import numpy as np
import pytest
import tensorflow as tf

from attention_keras.data.augment import PADDING, move_batch
from attention_keras.data.augmentations import Augment, parse_augment
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


@pytest.mark.parametrize("name, mode", [("crop", "constant"), ("crop_reflect", "reflect")])
def test_crops_are_crops_each_with_its_own_offset(image, name, mode):
    crops = crops_of(image, mode)
    offsets = {crops[result.tobytes()] for result in augmented(image, name, copies=512)}
    assert len(offsets) > 75, "of 81 offsets"


def test_half_of_the_images_are_mirrored(image):
    results = augmented(image, "flip", copies=512)
    mirrored = (results == image[:, ::-1]).all(axis=(1, 2, 3))
    assert (mirrored | (results == image).all(axis=(1, 2, 3))).all()
    assert 200 < mirrored.sum() < 312


@pytest.mark.parametrize("names", [("flip", "crop"), ("crop", "flip"), ("crop_reflect", "flip")])
def test_flip_and_crop_compose(image, names):
    mode = "reflect" if "crop_reflect" in names else "constant"
    known = crops_of(image, mode) | crops_of(image[:, ::-1], mode)
    results = {result.tobytes() for result in augmented(image, *names, copies=512)}
    assert results <= set(known)
    assert len(results) > 140, "of 162"


def test_two_crops_leave_what_is_outside_black(image):
    results = augmented(image, "crop", "crop_reflect", copies=256)
    assert (results == 0).any()
    assert results.shape == (256, HEIGHT, WIDTH, 3) and results.dtype == np.uint8


def test_seed_decides(image):
    np.testing.assert_array_equal(augmented(image, "flip", "crop"), augmented(image, "flip", "crop"))
    assert (augmented(image, "flip", "crop") != augmented(image, "flip", "crop", seed=1)).any()


def test_names():
    assert parse_augment("none") == Augment()
    assert parse_augment("flip+crop") == Augment(("flip", "crop"))
    ordered = Augment(("flip",), ("cutmix", "cutout"), ("gridmask",))
    assert parse_augment("gridmask+cutmix+flip+cutout") == ordered
    for wrong in ("", "flip+", "flip+flip", "none+flip", "Flip"):
        with pytest.raises(UserError, match="allowed: none, or any of flip, crop, crop_reflect"):
            parse_augment(wrong)


def test_what_the_command_line_knows_is_what_there_is():
    from attention_keras.data import augment, augmentations, mixing, policies

    assert tuple(augment._MOVES) == augmentations.MOVES
    assert tuple(mixing._MIXES) == augmentations.MIXES
    assert tuple(policies._POLICIES) == augmentations.POLICIES
