"""Flips, crops, mixes and policies, each image with its own draw; shares are counted from pixels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from attention_keras.data import augment, registry
from attention_keras.data.augment import PADDING, mix_batch, move_batch
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
    """Every crop there is: the definition, written with numpy."""
    padded = np.pad(image, [(PADDING, PADDING), (PADDING, PADDING), (0, 0)], mode=mode)
    offsets = np.ndindex(2 * PADDING + 1, 2 * PADDING + 1)
    return {padded[y : y + HEIGHT, x : x + WIDTH].tobytes() for y, x in offsets}


def test_half_of_the_images_are_mirrored(image):
    results = augmented(image, "flip", copies=512)
    mirrored = (results == image[:, ::-1]).all(axis=(1, 2, 3))
    assert (mirrored | (results == image).all(axis=(1, 2, 3))).all()
    assert 200 < mirrored.sum() < 312


def test_crops_and_flips_each_of_its_own_offset(image):
    """Of 81 offsets, and twice as many with flips."""
    for names, least in {"crop": 75, "crop_reflect": 75, "flip crop": 140, "crop_reflect flip": 140}.items():
        mode = "reflect" if "crop_reflect" in names else "constant"
        known = crops_of(image, mode) | (crops_of(image[:, ::-1], mode) if "flip" in names else set())
        results = {result.tobytes() for result in augmented(image, *names.split(), copies=512)}
        assert results <= known and len(results) > least, names
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


@pytest.fixture(scope="module")
def split():
    """17 images, so that the last batch of eight has one."""
    images = np.random.default_rng(0).integers(0, 256, (17, 16, 16, 3), dtype="uint8")
    return Split(images, (np.arange(17) % 4).astype("int32"))


def read(split, augment):
    batches = training_batches(split, num_classes=4, batch_size=8, seed=0, epochs=1, augment=augment)
    images, labels = zip(*batches.as_numpy_iterator())
    return np.concatenate(images), np.concatenate(labels)


def test_policies_in_the_pipeline(split):
    """Also with a last batch of one image; they come last and leave the labels as they were."""
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


COUNT = 200


def constant_images(count=COUNT, height=HEIGHT, width=WIDTH):
    """Image i is i + 1 everywhere and has a label of its own."""
    values = np.arange(1, count + 1, dtype="uint8")[:, None, None, None]
    return np.broadcast_to(values, (count, height, width, 3)), np.eye(count, dtype="float32")


def mixed(images, labels, *mixes, seed=0):
    images, labels = mix_batch(tf.constant(images), tf.constant(labels), mixes, tf.constant([seed, 0]))
    return images.numpy(), labels.numpy()


def partners_of(labels):
    """Whose label each row has besides its own; the row itself where it has none."""
    others = labels * (1 - np.eye(len(labels)))
    return np.where(others.any(axis=1), others.argmax(axis=1), np.arange(len(labels)))


def is_a_box(mask):
    return mask.any() and mask[np.ix_(mask.any(axis=1), mask.any(axis=0))].all()


def test_cutmix_labels_are_the_shares_of_the_pixels():
    images, labels = mixed(*constant_images(), "cutmix")
    assert images.dtype == np.uint8 and labels.dtype == np.float32
    partners = partners_of(labels)
    for row, (image, label) in enumerate(zip(images, labels)):
        assert (image == image[..., :1]).all(), "all three channels"
        own, other = image[..., 0] == row + 1, image[..., 0] == partners[row] + 1
        assert (own | other).all()
        if partners[row] != row:
            assert is_a_box(other)
            assert label[row] == pytest.approx(own.mean(), abs=1e-6)
            assert label[partners[row]] == pytest.approx(other.mean(), abs=1e-6)
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)


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


def test_mixup_mixes_pixels_and_labels_by_one_lambda():
    images, labels = mixed(*constant_images(), "mixup")
    assert images.dtype == labels.dtype == np.float32
    rows, partners = np.arange(COUNT), partners_of(labels)
    assert (partners != rows).mean() > 0.9
    own = labels[rows, rows]
    expected = own * (rows + 1) + (1 - own) * (partners + 1)
    np.testing.assert_allclose(images, np.full(images.shape, expected[:, None, None, None]), rtol=1e-5)
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
    assert len(set(own)) > 0.8 * COUNT, "each image has its own"
    for name in ("mixup", "cutmix"):  # one image has none to mix with
        for same, alone in zip(mixed(*constant_images(1), name), constant_images(1)):
            assert (same == alone).all()


@pytest.mark.parametrize("height, width, side", [(32, 32, 16), (7, 20, 3)])
def test_cutout_blacks_out_a_square_of_half_the_side(height, width, side):
    count = 250
    images, labels = mixed(*constant_images(count, height, width), "cutout")
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(labels, np.eye(count))
    black = images == 0
    np.testing.assert_array_equal(images, np.where(black, 0, constant_images(count, height, width)[0]))
    assert all(is_a_box(mask) for mask in black[..., 0]) and (black.all(axis=-1) == black.any(axis=-1)).all()
    rows, columns = black[..., 0].any(axis=2).sum(axis=1), black[..., 0].any(axis=1).sum(axis=1)
    assert rows.max() == columns.max() == side
    assert rows.min() == columns.min() == side - side // 2, "of a square around a pixel in the corner"
    share = 1.0
    for extent in (height, width):  # over all centres, of which the border clips some
        starts = np.arange(extent) - side // 2
        share *= (np.minimum(starts + side, extent) - np.maximum(starts, 0)).mean() / extent
    assert black.mean() == pytest.approx(share, rel=0.06)
