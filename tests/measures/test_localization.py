"""Maps, masks and boxes against objects, and the share of a quarter of a mosaic, counted by hand."""

import numpy as np
import pytest

from attention_keras.measures.localization import (
    CHANCE,
    box_overlap,
    centre_box,
    combine,
    covered_cells,
    jaccard,
    localize,
    make_mosaics,
    mask_boxes,
    mass_on_object,
    oracle_masks,
    otsu_masks,
    own_quarter,
    pointing_game,
    rank_accuracy,
    score_masks,
)

SIDE = 8


def box(y0, x0, y1, x1, size=SIDE):
    mask = np.zeros((1, size, size), bool)
    mask[0, y0:y1, x0:x1] = True
    return mask


def point(y, x, size=SIDE):
    return box(y, x, y + 1, x + 1, size)


def peak(y, x, size=4):
    return point(y, x, size).astype("float64")


def test_hits_are_counted_in_cells_that_the_object_touches():
    covered = covered_cells(point(0, 0) | point(7, 7), (4, 4))
    assert np.argwhere(covered[0]).tolist() == [[0, 0], [3, 3]]
    masks = np.concatenate([point(2, 3), point(2, 3), point(7, 7)])
    assert pointing_game(np.concatenate([peak(1, 1), peak(1, 2), peak(3, 3)]), masks) == pytest.approx(2 / 3)
    flat = np.ones((1, 5, 5))  # points at the middle
    assert [pointing_game(flat, point(y, y, 5)) for y in (2, 0)] == [1, 0]


def test_what_a_map_has_to_beat_at_its_own_size():
    masks = np.concatenate([point(0, 0), point(1, 1), point(7, 7)])
    maps = {"map": np.repeat(peak(0, 0), 3, 0), "coarse": np.repeat(peak(1, 1, 2), 3, 0)}
    scores = localize(maps, masks)
    assert scores["map"]["best_fixed_point"] == pytest.approx(2 / 3)
    assert scores["map"]["chance"] == pytest.approx(1 / 16) and scores["coarse"]["chance"] == 1 / 4
    assert scores["map"]["pointing_game"] == pytest.approx(2 / 3)
    assert scores["coarse"]["pointing_game"] == pytest.approx(1 / 3)
    assert scores["map"]["area_of_object"] == pytest.approx(1 / 64)


def test_mass_on_the_object():
    level = (
        peak(0, 0, 8) + 3 * peak(7, 7, 8) - 50 * peak(4, 4, 8)
    )  # what speaks against the class has no mass
    for maps, mask, expected in (
        (np.ones((1, 8, 8)), box(0, 0, 4, 8), 0.5),
        (peak(2, 3, 8), point(2, 3), 1),
        (np.zeros((1, 8, 8)), point(0, 0), 0),
        (level, point(0, 0) | point(4, 4), 0.25),
    ):
        assert mass_on_object(maps, mask) == pytest.approx(expected)


def test_rank_on_the_object():
    """Three pixels of object; of the three that a map ranks first, two lie on it."""
    level = 4 * peak(0, 0, 8) + 3 * peak(0, 1, 8) + 2.5 * peak(5, 5, 8) + 2 * peak(0, 2, 8)
    masks = np.concatenate([box(0, 0, 1, 3), box(0, 0, 0, 0)])
    assert rank_accuracy(np.concatenate([level, level]), masks) == pytest.approx(2 / 3)
    flat = rank_accuracy(np.zeros((50, 8, 8)), np.repeat(box(0, 0, 4, 8), 50, 0))
    assert flat == pytest.approx(0.5, abs=0.05)


def test_each_quarter_holds_an_image_of_its_class():
    """Every image is flat, in the colour of its class."""
    labels = np.arange(12) % 6
    for size in ((8, 6), (7, 9)):
        images = np.broadcast_to(10.0 * labels[:, None, None, None], (12, *size, 3))
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


def test_overlaps_and_boxes_by_hand():
    found, truth = box(0, 0, 4, 4), box(2, 0, 4, 8)
    assert jaccard(found, truth)[0] == pytest.approx(8 / 24)
    assert score_masks(found, truth)["precision"] == pytest.approx((64 - 16) / 64)
    empty = np.zeros_like(truth)
    assert jaccard(empty, empty)[0] == 1 and jaccard(empty, truth)[0] == 0
    one = np.array([[0.0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 0, 0]])
    other = np.array([[1.0, 0, 3, 2], [2, 2, 3, 3], [0, 0, 0, 0]])
    np.testing.assert_allclose(box_overlap(one, other), [1 / 3, 0, 0])


def test_corloc_uses_the_largest_part():
    truth, whole = box(1, 1, 5, 5), box(0, 0, 8, 8)
    speck = truth | box(7, 7, 8, 8)
    assert mask_boxes(speck)[0].tolist() == [1, 1, 5, 5]
    assert mask_boxes(np.zeros_like(truth))[0].tolist() == [0, 0, 0, 0]
    twice = np.concatenate([truth, truth])
    assert score_masks(np.concatenate([speck, whole]), twice)["corloc"] == 0.5  # 16 of 16, and 16 of 64
    given = np.array([[0.0, 0, 8, 8]] * 2)
    assert score_masks(np.concatenate([truth, whole]), twice, given)["corloc"] == 0.5


def test_thresholds_and_their_upper_bound():
    truth, generator = box(2, 2, 6, 6), np.random.default_rng(0)
    bimodal = np.where(truth, 0.9, 0.1) + generator.normal(0, 0.02, truth.shape)
    assert (otsu_masks(bimodal) == truth).all() and otsu_masks(np.ones((1, 4, 4))).all()
    maps = generator.random((20, SIDE, SIDE))
    masks = generator.random(maps.shape) < 0.2 + 0.3 * maps
    best = jaccard(oracle_masks(maps, masks), masks)
    assert best.mean() > jaccard(otsu_masks(maps), masks).mean()
    assert (best >= jaccard(np.ones_like(masks), masks)).all()
    guess = centre_box(2, (8, 16), 0.25)
    assert guess.sum(axis=(1, 2)).tolist() == [32, 32] and mask_boxes(guess)[0].tolist() == [2, 4, 6, 12]


def test_maps_are_combined_on_one_scale():
    coarse, fine = np.array([[[0.0, 4.0]]]), np.array([[[0.01, 0.0, 0.02, 0.04]]])
    combined = combine({"coarse": coarse, "fine": fine}, (1, 4))
    for name, expected in {
        "coarse": [0, 0.25, 0.75, 1],
        "fine": [0.25, 0, 0.5, 1],
        "product": np.sqrt([0, 0, 0.375, 1]),
        "mean": [0.125, 0.125, 0.625, 1],
    }.items():
        np.testing.assert_allclose(combined[name][0, 0], expected)
    assert list(combine({"only": fine}, (1, 4))) == ["only"]
    assert np.isfinite(combine({"zero": 0 * fine, "fine": fine}, (1, 4))["product"]).all()
