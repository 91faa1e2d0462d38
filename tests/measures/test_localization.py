"""Peak, mass and rank on the object, and the share of a quarter of a mosaic, counted by hand."""

import numpy as np
import pytest

from attention_keras.measures.localization import (
    CHANCE,
    covered_cells,
    localize,
    make_mosaics,
    mass_on_object,
    own_quarter,
    pointing_game,
    rank_accuracy,
)


def mask(*pixels, size=8):
    out = np.zeros((size, size), bool)
    for y, x in pixels:
        out[y, x] = True
    return out


def peak(y, x, size=4):
    out = np.zeros((size, size))
    out[y, x] = 1
    return out


def test_a_cell_counts_when_the_object_touches_it():
    covered = covered_cells(np.stack([mask((0, 0), (7, 7)), mask((3, 4))]), (4, 4))
    assert covered[0].nonzero()[0].tolist() == [0, 3]
    assert np.argwhere(covered[1]).tolist() == [[1, 2]]


def test_hits_are_counted():
    masks = np.stack([mask((2, 3)), mask((2, 3)), mask((7, 7))])
    maps = np.stack([peak(1, 1), peak(1, 2), peak(3, 3)])
    assert pointing_game(maps, masks) == pytest.approx(2 / 3)


def test_a_constant_map_points_at_the_middle():
    maps = np.ones((1, 5, 5))
    assert pointing_game(maps, mask((2, 2), size=5)[None]) == 1
    assert pointing_game(maps, mask((0, 0), size=5)[None]) == 0


def test_what_a_map_has_to_beat_at_its_own_size():
    masks = np.stack([mask((0, 0)), mask((1, 1)), mask((7, 7))])
    scores = localize({"map": np.stack([peak(0, 0)] * 3), "coarse": np.stack([peak(1, 1, 2)] * 3)}, masks)
    assert scores["map"]["best_fixed_point"] == pytest.approx(2 / 3)
    assert scores["map"]["chance"] == pytest.approx(1 / 16) and scores["coarse"]["chance"] == 1 / 4
    assert scores["map"]["pointing_game"] == pytest.approx(2 / 3)
    assert scores["coarse"]["pointing_game"] == pytest.approx(1 / 3)
    assert scores["map"]["area_of_object"] == pytest.approx(1 / 64)


def test_attention_on_the_object():
    uniform = np.ones((1, 8, 8)) / 64
    assert mass_on_object(uniform, mask(*[(y, x) for y in range(4) for x in range(8)])[None]) == 0.5
    assert mass_on_object(peak(2, 3, 8)[None], mask((2, 3))[None]) == 1
    assert mass_on_object(np.zeros((1, 8, 8)), mask((0, 0))[None]) == 0
    level = np.zeros((1, 8, 8))
    level[0, 0, 0], level[0, 7, 7], level[0, 4, 4] = 1.0, 3.0, -50.0  # speaks against the class: no mass
    assert mass_on_object(level, mask((0, 0), (4, 4))[None]) == pytest.approx(0.25)


def test_rank_on_the_object():
    """Three pixels of object; of the three that a map ranks first, two lie on it."""
    level = np.full((8, 8), -1.0)
    level[0, 0], level[0, 1], level[5, 5], level[0, 2] = 3.0, 2.0, 1.5, 1.0
    masks = np.stack([mask((0, 0), (0, 1), (0, 2)), mask()])
    assert rank_accuracy(np.stack([level, level]), masks) == pytest.approx(2 / 3)
    area = mask(*[(y, x) for y in range(4) for x in range(8)])
    flat = rank_accuracy(np.zeros((50, 8, 8)), np.stack([area] * 50))
    assert flat == pytest.approx(0.5, abs=0.05)


def flat_images(count=12, size=(8, 6), classes=6):
    """Every image is flat, in the colour of its class."""
    labels = np.arange(count) % classes
    images = np.broadcast_to(10.0 * labels[:, None, None, None], (count, *size, 3))
    return images, labels


def test_each_quarter_holds_an_image_of_its_class():
    for size in ((8, 6), (7, 9)):
        images, labels = flat_images(size=size)
        mosaics = make_mosaics(images, labels, 20, seed=3)
        assert mosaics.images.shape == (20, *size, 3)
        height, width = (side // 2 for side in size)
        corners = [(0, 0), (0, width), (height, 0), (height, width)]
        for quarter, (y, x) in enumerate(corners):
            part = mosaics.images[:, y : y + height, x : x + width]
            expected = 10.0 * mosaics.classes[:, quarter]
            np.testing.assert_array_equal(part, np.broadcast_to(expected[:, None, None, None], part.shape))
        assert all(len(set(row)) == 4 for row in mosaics.classes.tolist())
        np.testing.assert_array_equal(make_mosaics(images, labels, 20, seed=3).images, mosaics.images)
        assert (make_mosaics(images, labels, 20, seed=4).classes != mosaics.classes).any()
    images, labels = flat_images(classes=3)
    with pytest.raises(ValueError, match="images of 4 classes; got 3"):
        make_mosaics(images, labels, 2)


def test_images_are_shrunk_by_means():
    images = np.arange(4 * 4 * 4 * 3, dtype="float32").reshape(4, 4, 4, 3)
    mosaics = make_mosaics(images, np.arange(4), 1)
    first = images[mosaics.classes[0, 0]]
    np.testing.assert_allclose(mosaics.images[0, 0, 0], first[:2, :2].mean((0, 1)))


def test_the_share_of_the_quarter_asked_about():
    level = np.zeros((4, 6))
    level[0, 0], level[1, 4], level[3, 1] = 1.0, 3.0, 4.0
    level[3, 5] = -100.0  # speaks against the class: does not count
    np.testing.assert_allclose(own_quarter(np.stack([level] * 4), np.arange(4)), [1 / 8, 3 / 8, 4 / 8, 0])
    across = np.zeros((4, 3, 4))
    across[:, 1, 0] = 2.0  # a cell across the middle belongs to both halves
    np.testing.assert_allclose(own_quarter(across, np.arange(4)), [0.5, 0, 0.5, 0])
    nothing, broken = np.full((1, 2, 2), -1.0), np.full((1, 2, 2), np.nan)
    assert own_quarter(nothing, np.array([2]))[0] == CHANCE
    assert np.isnan(own_quarter(broken, np.array([2]))[0])
