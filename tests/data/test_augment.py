"""Flips, crops, mixes and policies, each image with its own draw; shares are counted from pixels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from attention_keras.data.augment import PADDING, mix_batch, move_batch
from attention_keras.data.pipeline import training_batches
from attention_keras.data.registry import POLICIES, Augment, parse_augment
from attention_keras.data.split import Split
from attention_keras.errors import UserError

HEIGHT, WIDTH = 12, 10


IMAGE = np.random.default_rng(0).integers(1, 256, (HEIGHT, WIDTH, 3), dtype="uint8")


def moved(*names):
    return move_batch(tf.constant(np.stack([IMAGE] * 512)), names, tf.constant([0, 0])).numpy()


def crops_of(image, mode):
    """Every crop there is: the definition, written with numpy."""
    padded = np.pad(image, [(PADDING, PADDING), (PADDING, PADDING), (0, 0)], mode=mode)
    offsets = np.ndindex(2 * PADDING + 1, 2 * PADDING + 1)
    return {padded[y : y + HEIGHT, x : x + WIDTH].tobytes() for y, x in offsets}


def test_crops_and_flips_each_of_its_own_offset():
    """Of 81 offsets, and twice as many with flips, which are half of the images."""
    mirrored = (moved("flip") == IMAGE[:, ::-1]).all(axis=(1, 2, 3))
    assert 200 < mirrored.sum() < 312 and (moved("flip")[~mirrored] == IMAGE).all()
    for names, least in {"crop": 75, "crop_reflect": 75, "flip crop": 140, "crop_reflect flip": 140}.items():
        mode = "reflect" if "crop_reflect" in names else "constant"
        known = crops_of(IMAGE, mode) | (crops_of(IMAGE[:, ::-1], mode) if "flip" in names else set())
        results = {result.tobytes() for result in moved(*names.split())}
        assert results <= known and len(results) > least, names
    results = moved("crop", "crop_reflect")
    assert (results == 0).any() and results.dtype == np.uint8, "what is outside stays black"


def test_names():
    ordered = Augment(("flip",), ("cutmix", "cutout"), ("gridmask",))
    assert parse_augment("gridmask+cutmix+flip+cutout") == ordered and parse_augment("none") == Augment()
    for wrong in ("", "flip+", "flip+flip", "none+flip", "Flip"):
        with pytest.raises(UserError, match="allowed: none, or any of flip, crop, crop_reflect"):
            parse_augment(wrong)


def read(augment):
    """17 images, so that the last batch of eight has one."""
    images = np.random.default_rng(0).integers(0, 256, (17, 16, 16, 3), dtype="uint8")
    split = Split(images, (np.arange(17) % 4).astype("int32"))
    batches = training_batches(split, num_classes=4, batch_size=8, seed=0, epochs=1, augment=augment)
    images, labels = zip(*batches.as_numpy_iterator())
    return np.concatenate(images), np.concatenate(labels)


def test_policies_in_the_pipeline():
    """Also with a last batch of one image; they come last and leave the labels as they were."""
    plain, plain_labels = read("flip+cutmix")
    keras.config.set_dtype_policy("mixed_bfloat16")  # which is the model's precision, not the images'
    for name in POLICIES:
        images, labels = read(f"{name}+flip+cutmix")
        assert images.shape == plain.shape and images.dtype == labels.dtype == np.float32
        assert images.min() >= 0 and images.max() <= 255 and np.isfinite(images).all()
        assert (images != plain).any(axis=(1, 2, 3)).mean() > 0.5
        np.testing.assert_array_equal(labels, plain_labels)
        if name == "gridmask":
            shown = (images == plain).all(axis=-1)
            assert (images[~shown] == 0).all() and 0.2 < shown.mean() < 0.95


COUNT = 200


def constant_images(count=COUNT, height=HEIGHT, width=WIDTH):
    """Image i is i + 1 everywhere and has a label of its own."""
    values = np.arange(1, count + 1, dtype="uint8")[:, None, None, None]
    return np.broadcast_to(values, (count, height, width, 3)), np.eye(count, dtype="float32")


def mixed(images, labels, name):
    images, labels = mix_batch(tf.constant(images), tf.constant(labels), (name,), tf.constant([0, 0]))
    return images.numpy(), labels.numpy()


def partners_of(labels):
    """Whose label each row has besides its own; the row itself where it has none."""
    others = labels * (1 - np.eye(len(labels)))
    return np.where(others.any(axis=1), others.argmax(axis=1), np.arange(len(labels)))


def is_a_box(mask):
    return mask.any() and mask[np.ix_(mask.any(axis=1), mask.any(axis=0))].all()


def test_labels_are_mixed_as_pixels_are():
    """By one lambda of each image in mixup, by the area of a box in cutmix."""
    rows = np.arange(COUNT)
    for name in ("mixup", "cutmix"):
        images, labels = mixed(*constant_images(), name)
        np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), labels @ (rows + 1), rtol=1e-5)
        assert (partners_of(labels) != rows).mean() > 0.9
        if name == "mixup":
            assert np.ptp(images, axis=(1, 2, 3)).max() < 1e-3
            assert len(set(labels[rows, rows])) > 0.8 * COUNT, "each image has its own"
        else:
            own, other = (images == (of + 1)[:, None, None, None] for of in (rows, partners_of(labels)))
            assert images.dtype == np.uint8 and (own | other).all() and all(map(is_a_box, other[..., 0]))
        for same, alone in zip(mixed(*constant_images(1), name), constant_images(1)):
            assert (same == alone).all(), "one image has none to mix with"


def test_cutmix_boxes_have_the_size_and_the_place_that_the_paper_draws():
    """Side sqrt(1 - lambda) with lambda uniform, centre uniform, clipped: the definition, with numpy."""
    count, side = 4_000, 32
    images = np.zeros((count, side, side, 3), "uint8")
    images[::2] = 1  # the share of mixed labels is known where the partner has the other colour
    labels = np.eye(2, dtype="float32")[np.arange(count) % 2]
    _, labels = mixed(images, labels, "cutmix")
    shares = labels[np.arange(count), 1 - np.arange(count) % 2]
    rng = np.random.default_rng(0)
    length = (side * np.sqrt(rng.random(count))).astype(int)
    starts = rng.integers(0, side, (2, count)) - length // 2
    inside = np.minimum(starts + length, side) - np.maximum(starts, 0)
    expected = inside.prod(axis=0) / side**2
    assert shares.mean() == pytest.approx(expected.mean() / 2, abs=0.01)  # half of the partners differ
    assert (shares > 0.25).mean() == pytest.approx((expected > 0.25).mean() / 2, abs=0.03)
    assert np.quantile(shares, 0.95) == pytest.approx(np.quantile(expected, 0.9), abs=0.03)


@pytest.mark.parametrize("height, width, side", [(32, 32, 16), (7, 20, 3)])
def test_cutout_blacks_out_a_square_of_half_the_side(height, width, side):
    given, own = constant_images(250, height, width)
    images, labels = mixed(given, own, "cutout")
    assert images.dtype == np.uint8 and (labels == own).all()
    black = (images == 0).all(axis=-1)
    np.testing.assert_array_equal(images, np.where(black[..., None], 0, given))
    assert all(map(is_a_box, black))
    rows, columns = black.any(axis=2).sum(axis=1), black.any(axis=1).sum(axis=1)
    assert rows.max() == columns.max() == side
    assert rows.min() == columns.min() == side - side // 2, "of a square around a pixel in the corner"
    share = 1.0
    for extent in (height, width):  # over all centres, of which the border clips some
        starts = np.arange(extent) - side // 2
        share *= (np.minimum(starts + side, extent) - np.maximum(starts, 0)).mean() / extent
    assert black.mean() == pytest.approx(share, rel=0.06)
