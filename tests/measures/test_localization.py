"""Maps, masks and boxes against objects, and the share of a quarter of a mosaic, counted by hand."""

import numpy as np
import pytest

from attention_keras.measures import localization as measures
from attention_keras.measures.localization import jaccard, make_mosaics, mask_boxes, own_quarter, score_masks


def box(y0, x0, y1, x1, size=8):
    mask = np.zeros((1, size, size), bool)
    mask[0, y0:y1, x0:x1] = True
    return mask


def point(y, x, size=8):
    return box(y, x, y + 1, x + 1, size)


def peak(y, x, size=4):
    return point(y, x, size).astype("float64")


def test_hits_are_counted_in_cells_that_the_object_touches_and_have_something_to_beat():
    covered = measures.covered_cells(point(0, 0) | point(7, 7), (4, 4))
    assert np.argwhere(covered[0]).tolist() == [[0, 0], [3, 3]]
    masks = np.concatenate([point(2, 3), point(2, 3), point(7, 7)])
    maps = np.concatenate([peak(1, 1), peak(1, 2), peak(3, 3)])
    assert measures.pointing_game(maps, masks) == pytest.approx(2 / 3)
    flat = np.ones((1, 5, 5))  # points at the middle
    assert [measures.pointing_game(flat, point(y, y, 5)) for y in (2, 0)] == [1, 0]
    masks = np.concatenate([point(0, 0), point(1, 1), point(7, 7)])
    maps = {"map": np.repeat(peak(0, 0), 3, 0), "coarse": np.repeat(peak(1, 1, 2), 3, 0)}
    scores = {
        name: [found[key] for key in ("pointing_game", "best_fixed_point", "chance", "area_of_object")]
        for name, found in measures.localize(maps, masks).items()
    }
    assert scores["map"] == pytest.approx([2 / 3, 2 / 3, 1 / 16, 1 / 64])
    assert scores["coarse"] == pytest.approx([1 / 3, 2 / 3, 1 / 4, 1 / 64])


def test_mass_and_rank_on_the_object():
    """What speaks against the class has no mass. Of the three pixels that a map ranks first two are on it."""
    level = peak(0, 0, 8) + 3 * peak(7, 7, 8) - 50 * peak(4, 4, 8)
    for maps, mask, expected in (
        (np.ones((1, 8, 8)), box(0, 0, 4, 8), 0.5),
        (peak(2, 3, 8), point(2, 3), 1),
        (np.zeros((1, 8, 8)), point(0, 0), 0),
        (level, point(0, 0) | point(4, 4), 0.25),
    ):
        assert measures.mass_on_object(maps, mask) == pytest.approx(expected)
    level = 4 * peak(0, 0, 8) + 3 * peak(0, 1, 8) + 2.5 * peak(5, 5, 8) + 2 * peak(0, 2, 8)
    masks = np.concatenate([box(0, 0, 1, 3), box(0, 0, 0, 0)])
    assert measures.rank_accuracy(np.concatenate([level, level]), masks) == pytest.approx(2 / 3)
    flat = measures.rank_accuracy(np.zeros((50, 8, 8)), np.repeat(box(0, 0, 4, 8), 50, 0))
    assert flat == pytest.approx(0.5, abs=0.05)


def test_each_quarter_holds_an_image_of_its_class():
    """Every image is flat, in the colour of its class."""
    labels = np.arange(12) % 6
    for size in ((8, 6), (7, 9)):
        images = np.broadcast_to(10.0 * labels[:, None, None, None], (12, *size, 3))
        mosaics = make_mosaics(images, labels, 20, seed=3)
        assert mosaics.images.shape == (20, *size, 3)
        height, width = (side // 2 for side in size)
        for quarter, (y, x) in enumerate([(0, 0), (0, width), (height, 0), (height, width)]):
            part = mosaics.images[:, y : y + height, x : x + width]
            assert (part == 10.0 * mosaics.classes[:, quarter, None, None, None]).all()
        assert all(len(set(row)) == 4 for row in mosaics.classes.tolist())
        np.testing.assert_array_equal(make_mosaics(images, labels, 20, seed=3).images, mosaics.images)
    images = np.arange(4 * 4 * 4 * 3, dtype="float32").reshape(4, 4, 4, 3)
    mosaics = make_mosaics(images, np.arange(4), 1)
    first = images[mosaics.classes[0, 0]]
    np.testing.assert_allclose(mosaics.images[0, 0, 0], first[:2, :2].mean((0, 1)))


def test_the_share_of_the_quarter_asked_about():
    level = np.zeros((4, 6))
    level[0, 0], level[1, 4], level[3, 1] = 1.0, 3.0, 4.0
    level[3, 5] = -100.0  # speaks against the class: does not count
    across = np.zeros((3, 4))
    across[1, 0] = 2.0  # a cell across the middle belongs to both halves
    nothing, broken = np.full((2, 2), -1.0), np.array([[np.nan, 1], [1, 1]])
    cases = ((level, [1 / 8, 3 / 8, 4 / 8, 0]), (across, [0.5, 0, 0.5, 0]))
    for one, shares in (*cases, (nothing, [measures.CHANCE] * 4), (broken, [np.nan] * 4)):
        np.testing.assert_allclose(own_quarter(np.stack([one] * 4), np.arange(4)), shares)


def test_overlaps_and_boxes_by_hand():
    found, truth = box(0, 0, 4, 4), box(2, 0, 4, 8)
    assert jaccard(found, truth)[0] == pytest.approx(8 / 24)
    assert score_masks(found, truth)["precision"] == pytest.approx((64 - 16) / 64)
    empty = np.zeros_like(truth)
    assert jaccard(empty, empty)[0] == 1 and jaccard(empty, truth)[0] == 0
    one = np.array([[0.0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 0, 0]])
    other = np.array([[1.0, 0, 3, 2], [2, 2, 3, 3], [0, 0, 0, 0]])
    np.testing.assert_allclose(measures.box_overlap(one, other), [1 / 3, 0, 0])
    truth, whole = box(1, 1, 5, 5), box(0, 0, 8, 8)
    speck = truth | box(7, 7, 8, 8)  # the largest part counts
    assert mask_boxes(np.concatenate([speck, empty])).tolist() == [[1, 1, 5, 5], [0, 0, 0, 0]]
    twice = np.concatenate([truth, truth])
    assert score_masks(np.concatenate([speck, whole]), twice)["corloc"] == 0.5  # 16 of 16, and 16 of 64
    given = np.array([[0.0, 0, 8, 8]] * 2)
    assert score_masks(np.concatenate([truth, whole]), twice, given)["corloc"] == 0.5


def test_thresholds_and_their_upper_bound():
    truth, generator = box(2, 2, 6, 6), np.random.default_rng(0)
    bimodal = np.where(truth, 0.9, 0.1) + generator.normal(0, 0.02, truth.shape)
    assert (measures.otsu_masks(bimodal) == truth).all()
    assert measures.otsu_masks(np.ones((1, 4, 4))).all()
    maps = generator.random((20, 8, 8))
    masks = generator.random(maps.shape) < 0.2 + 0.3 * maps
    best = jaccard(measures.oracle_masks(maps, masks), masks)
    assert best.mean() > jaccard(measures.otsu_masks(maps), masks).mean()
    assert (best >= jaccard(np.ones_like(masks), masks)).all()
    guess = measures.centre_box(2, (8, 16), 0.25)
    assert guess.sum(axis=(1, 2)).tolist() == [32, 32] and mask_boxes(guess)[0].tolist() == [2, 4, 6, 12]


def test_maps_are_combined_on_one_scale():
    coarse, fine = np.array([[[0.0, 4.0]]]), np.array([[[0.01, 0.0, 0.02, 0.04]]])
    combined = measures.combine({"coarse": coarse, "fine": fine}, (1, 4))
    for name, expected in {
        "coarse": [0, 0.25, 0.75, 1],
        "fine": [0.25, 0, 0.5, 1],
        "product": np.sqrt([0, 0, 0.375, 1]),
        "mean": [0.125, 0.125, 0.625, 1],
    }.items():
        np.testing.assert_allclose(combined[name][0, 0], expected)
    assert list(measures.combine({"only": fine}, (1, 4))) == ["only"]
    assert np.isfinite(measures.combine({"zero": 0 * fine, "fine": fine}, (1, 4))["product"]).all()
