"""Mosaics are made of the images of their classes, and a map's share of a quarter is counted by hand."""

import numpy as np
import pytest

from attention_keras.evaluation.measures.mosaic import CHANCE, make_mosaics, own_quarter


def pictures(count=12, size=(8, 6), classes=6):
    """Every image is flat, in the colour of its class."""
    labels = np.arange(count) % classes
    images = np.broadcast_to(10.0 * labels[:, None, None, None], (count, *size, 3))
    return images, labels


@pytest.mark.parametrize("size", [(8, 6), (7, 9)])
def test_each_quarter_holds_an_image_of_its_class(size):
    images, labels = pictures(size=size)
    mosaics = make_mosaics(images, labels, 20, seed=3)
    assert mosaics.images.shape == (20, *size, 3)
    height, width = (side // 2 for side in size)
    corners = [(0, 0), (0, width), (height, 0), (height, width)]
    for quarter, (y, x) in enumerate(corners):
        part = mosaics.images[:, y : y + height, x : x + width]
        expected = 10.0 * mosaics.classes[:, quarter]
        np.testing.assert_array_equal(part, np.broadcast_to(expected[:, None, None, None], part.shape))
    assert all(len(set(row)) == 4 for row in mosaics.classes.tolist())
    again = make_mosaics(images, labels, 20, seed=3)
    np.testing.assert_array_equal(again.images, mosaics.images)
    assert (make_mosaics(images, labels, 20, seed=4).classes != mosaics.classes).any()


def test_images_are_shrunk_by_means():
    images = np.arange(4 * 4 * 4 * 3, dtype="float32").reshape(4, 4, 4, 3)
    mosaics = make_mosaics(images, np.arange(4), 1)
    first = images[mosaics.classes[0, 0]]
    np.testing.assert_allclose(mosaics.images[0, 0, 0], first[:2, :2].mean((0, 1)))


def test_fewer_than_four_classes_are_refused():
    images, labels = pictures(classes=3)
    with pytest.raises(ValueError, match="images of 4 classes; got 3"):
        make_mosaics(images, labels, 2)


def test_the_share_of_the_quarter_asked_about():
    level = np.zeros((4, 6))
    level[0, 0], level[1, 4], level[3, 1] = 1.0, 3.0, 4.0
    level[3, 5] = -100.0  # speaks against the class: does not count
    maps = np.stack([level] * 4)
    np.testing.assert_allclose(own_quarter(maps, np.arange(4)), [1 / 8, 3 / 8, 4 / 8, 0])


def test_a_cell_across_the_middle_belongs_to_both_halves():
    level = np.zeros((1, 3, 4))
    level[0, 1, 0] = 2.0
    np.testing.assert_allclose([own_quarter(level, np.array([q]))[0] for q in range(4)], [0.5, 0, 0.5, 0])


def test_maps_that_say_nothing_and_maps_that_are_broken():
    nothing, broken = np.full((1, 2, 2), -1.0), np.full((1, 2, 2), np.nan)
    assert own_quarter(nothing, np.array([2]))[0] == CHANCE
    assert np.isnan(own_quarter(broken, np.array([2]))[0])
