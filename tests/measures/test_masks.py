"""Masks from maps, and their scores, on shapes counted by hand."""

import numpy as np
import pytest

from attention_keras.measures.masks import (
    box_overlap,
    centre_box,
    combine,
    jaccard,
    mask_boxes,
    oracle_masks,
    otsu_masks,
    precision,
    score_masks,
)

SIDE = 8


def box(y0, x0, y1, x1):
    mask = np.zeros((1, SIDE, SIDE), bool)
    mask[0, y0:y1, x0:x1] = True
    return mask


def test_jaccard_and_precision_by_hand():
    found, truth = box(0, 0, 4, 4), box(2, 0, 4, 8)
    assert jaccard(found, truth)[0] == pytest.approx(8 / 24)
    assert precision(found, truth)[0] == pytest.approx((64 - 16) / 64)
    empty = np.zeros_like(truth)
    assert jaccard(empty, empty)[0] == 1 and jaccard(empty, truth)[0] == 0


def test_corloc_uses_the_largest_part():
    truth = box(1, 1, 5, 5)
    speck = truth | box(7, 7, 8, 8)
    assert mask_boxes(speck)[0].tolist() == [1, 1, 5, 5]
    assert mask_boxes(np.zeros_like(truth))[0].tolist() == [0, 0, 0, 0]
    scores = score_masks(np.concatenate([speck, box(0, 0, 8, 8)]), np.concatenate([truth, truth]))
    assert scores["corloc"] == 0.5  # 16 of 16, and 16 of 64
    given = np.array([[0.0, 0, 8, 8], [0, 0, 8, 8]])
    guess = np.concatenate([truth, box(0, 0, 8, 8)])
    assert score_masks(guess, np.concatenate([truth] * 2), given)["corloc"] == 0.5


def test_box_overlap():
    one = np.array([[0.0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 0, 0]])
    other = np.array([[1.0, 0, 3, 2], [2, 2, 3, 3], [0, 0, 0, 0]])
    np.testing.assert_allclose(box_overlap(one, other), [1 / 3, 0, 0])


def test_thresholds():
    truth = box(2, 2, 6, 6)
    bimodal = np.where(truth, 0.9, 0.1) + np.random.default_rng(0).normal(0, 0.02, truth.shape)
    assert (otsu_masks(bimodal) == truth).all()
    assert otsu_masks(np.ones((1, 4, 4))).all()


def test_the_oracle_is_an_upper_bound():
    generator = np.random.default_rng(0)
    maps = generator.random((20, SIDE, SIDE))
    masks = generator.random(maps.shape) < 0.2 + 0.3 * maps
    best = jaccard(oracle_masks(maps, masks), masks)
    assert best.mean() > jaccard(otsu_masks(maps), masks).mean()
    assert (best >= jaccard(np.ones_like(masks), masks)).all()


def test_maps_are_combined_on_one_scale():
    coarse, fine = np.array([[[0.0, 4.0]]]), np.array([[[0.01, 0.0, 0.02, 0.04]]])
    combined = combine({"coarse": coarse, "fine": fine}, (1, 4))
    assert list(combined) == ["coarse", "fine", "product", "mean"]
    np.testing.assert_allclose(combined["coarse"][0, 0], [0, 0.25, 0.75, 1])
    np.testing.assert_allclose(combined["fine"][0, 0], [0.25, 0, 0.5, 1])
    np.testing.assert_allclose(combined["product"][0, 0], np.sqrt([0, 0, 0.375, 1]))
    np.testing.assert_allclose(combined["mean"][0, 0], [0.125, 0.125, 0.625, 1])
    assert list(combine({"only": fine}, (1, 4))) == ["only"]
    assert np.isfinite(combine({"zero": 0 * fine, "fine": fine}, (1, 4))["product"]).all()


def test_centre_box():
    guess = centre_box(2, (8, 16), 0.25)
    assert guess.sum(axis=(1, 2)).tolist() == [32, 32]
    assert mask_boxes(guess)[0].tolist() == [2, 4, 6, 12]
