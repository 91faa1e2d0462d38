"""Cutout, mixup and CutMix: shares counted from pixels, draws that are functions of (seed, epoch, step)."""

import numpy as np
import pytest
import tensorflow as tf

from attention_keras.data.augment import mix_batch
from attention_keras.data.pipeline import training_batches
from attention_keras.data.split import Split

COUNT, HEIGHT, WIDTH = 200, 12, 10


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


@pytest.fixture(scope="module")
def split():
    """17 images, so that the last batch of eight has one image."""
    images = np.random.default_rng(0).integers(0, 256, (17, 16, 16, 3), dtype="uint8")
    return Split(images, (np.arange(17) % 4).astype("int32"))


def read(split, augment, **changes):
    options = {"num_classes": 4, "batch_size": 8, "seed": 3, "epochs": 2}
    return list(training_batches(split, augment=augment, **options | changes).as_numpy_iterator())


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
    # Over all centres: what is left of the side, in the mean, when the border clips it.
    left = [
        np.mean([min(c - side // 2 + side, n) - max(c - side // 2, 0) for c in range(n)])
        for n in (height, width)
    ]
    assert black.mean() == pytest.approx(np.prod(left) / (height * width), rel=0.06)


def test_one_image_has_none_to_mix_with():
    images, labels = constant_images(1)
    for name in ("mixup", "cutmix"):
        same_images, same_labels = mixed(images, labels, name)
        assert (same_images == images).all() and (same_labels == labels).all()


def test_moves_are_what_they_were_without_mixes(split):
    """So that cutout hides parts of the same flips and crops."""
    for (images, _), (plain, _) in zip(read(split, "flip+crop+cutout"), read(split, "flip+crop")):
        shown = images > 0
        np.testing.assert_array_equal(images[shown], plain[shown])
        assert shown.mean() > 0.5
