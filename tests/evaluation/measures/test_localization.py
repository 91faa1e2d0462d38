"""Pointing game and attention on the object, on cases counted by hand."""

import numpy as np
import pytest

from attention_keras.evaluation.measures.classification import classify
from attention_keras.evaluation.measures.localization import (
    attention_on_object,
    best_fixed_point,
    chance,
    covered_cells,
    localize,
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


def test_baselines():
    covered = np.stack([peak(0, 0), peak(0, 0), peak(1, 1)]).astype(bool)
    assert best_fixed_point(covered) == pytest.approx(2 / 3)
    assert chance(covered) == pytest.approx(1 / 16)


def test_attention_on_the_object():
    uniform = np.ones((1, 8, 8)) / 64
    assert attention_on_object(uniform, mask(*[(y, x) for y in range(4) for x in range(8)])[None]) == 0.5
    assert attention_on_object(peak(2, 3, 8)[None], mask((2, 3))[None]) == 1
    assert attention_on_object(np.zeros((1, 8, 8)), mask((0, 0))[None]) == 0


def test_every_tap_is_scored_at_its_own_size():
    masks = np.stack([mask((0, 0))] * 2)
    scores = localize({"fine": np.stack([peak(0, 0, 8)] * 2), "coarse": np.stack([peak(1, 1, 2)] * 2)}, masks)
    assert scores["fine"]["pointing_game"] == 1 and scores["coarse"]["pointing_game"] == 0
    assert scores["fine"]["chance"] == 1 / 64 and scores["coarse"]["chance"] == 1 / 4
    assert scores["fine"]["area_of_object"] == 1 / 64


def test_classification_by_hand():
    probabilities = np.eye(3)[[0, 1, 1, 0]]
    result = classify(probabilities, np.array([0, 1, 0, 1]), ["a", "b", "c"])
    assert (result.images, result.error, result.accuracy) == (4, 0.5, 0.5)
    assert result.per_class_accuracy == {"a": 0.5, "b": 0.5, "c": None}
    assert result.confusion == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_what_speaks_against_the_class_has_no_mass():
    level = np.zeros((1, 8, 8))
    level[0, 0, 0], level[0, 7, 7], level[0, 4, 4] = 1.0, 3.0, -50.0
    assert attention_on_object(level, mask((0, 0), (4, 4))[None]) == pytest.approx(0.25)


def test_rank_on_the_object():
    """Three pixels of object; of the three that a map ranks first, two lie on it."""
    level = np.full((8, 8), -1.0)
    level[0, 0], level[0, 1], level[5, 5], level[0, 2] = 3.0, 2.0, 1.5, 1.0
    masks = np.stack([mask((0, 0), (0, 1), (0, 2)), mask()])
    assert rank_accuracy(np.stack([level, level]), masks) == pytest.approx(2 / 3)
    area = mask(*[(y, x) for y in range(4) for x in range(8)])
    flat = rank_accuracy(np.zeros((50, 8, 8)), np.stack([area] * 50))
    assert flat == pytest.approx(0.5, abs=0.05)
