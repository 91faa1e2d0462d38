"""Insertion and deletion against cases with a known answer, and how alike maps are, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from attention_keras.measures.faithfulness import (
    baselines,
    change_points,
    correlations,
    mean_and_error,
    movement,
    perturbation_curves,
    pixel_order,
    total_variation,
)
from attention_keras.measures.maps import normalized_entropy, upsample

SIDE, IMAGES = 8, 24
WEIGHTS = np.random.default_rng(0).random((SIDE, SIDE)) ** 4
WEIGHTS /= WEIGHTS.sum()
ONES = np.ones((IMAGES, SIDE, SIDE, 3), "float32")


def predict(pixels):
    """A probability that is a known weighted sum of pixels, so that the right ranking is known."""
    probability = np.einsum("nhwc,hw->n", pixels, WEIGHTS) / 3
    return np.stack([probability, 1 - probability], axis=1)


def curves(maps, start, end):
    order = pixel_order(maps, (SIDE, SIDE))
    return perturbation_curves(predict, start, end, order, np.zeros(len(start), int))


def test_true_map_beats_random_beats_reverse_and_a_constant_map_is_a_random_order():
    truth = np.repeat(WEIGHTS[None], IMAGES, axis=0)
    maps = (truth, np.random.default_rng(1).random(truth.shape), -truth)
    deletion = [curves(one, ONES, 0 * ONES).areas.mean() for one in maps]
    insertion = [curves(one, 0 * ONES, ONES).areas.mean() for one in maps]
    assert deletion[0] < deletion[1] - 0.1 and deletion[1] < deletion[2] - 0.1
    assert insertion[0] > insertion[1] + 0.1 and insertion[1] > insertion[2] + 0.1
    assert all(0 <= area <= 1 for area in deletion + insertion)
    assert curves(np.ones_like(truth), ONES, 0 * ONES).areas.mean() == pytest.approx(0.5, abs=0.03)


def test_area_by_hand():
    """Two pixels that count 3/4 and 1/4, most important first: 1 -> 1/4 -> 0 over thirds of a row of two."""
    images, order = np.ones((1, 1, 2, 1)), pixel_order(np.array([[[2.0, 1.0]]]), (1, 2))

    def weighted(pixels):
        return (pixels[:, 0, :, 0] @ [0.75, 0.25])[:, None]

    found = perturbation_curves(weighted, images, 0 * images, order, np.array([0]), steps=2)
    assert found.fractions.tolist() == [0, 0.5, 1]
    assert found.probabilities.tolist() == [[1, 0.25, 0]]
    assert found.areas[0] == pytest.approx(0.375)


def test_all_pixels_are_changed_in_equal_steps_and_the_batch_does_not_matter():
    for pixels, steps in [(64, 16), (65, 16), (7, 100), (1, 1)]:
        points = change_points(pixels, steps)
        assert points[0] == 0 and points[-1] == pixels
        gaps = np.diff(points)
        assert len(set(gaps[:-1])) <= 1 and gaps[-1] <= gaps[0] and len(gaps) <= steps
    maps = np.random.default_rng(2).random((IMAGES, 4, 4))
    whole, part = curves(maps, ONES, 0 * ONES), curves(maps[:5], ONES[:5], 0 * ONES[:5])
    np.testing.assert_allclose(whole.probabilities[:, [0, -1]], [[1, 0]] * IMAGES, atol=1e-6)
    np.testing.assert_array_equal(whole.probabilities[:5], part.probabilities)


def test_a_map_that_is_not_finite_is_left_out():
    maps = np.ones((2, 4, 4))
    maps[1, 0, 0] = np.nan
    areas = curves(maps, ONES[:2], 0 * ONES[:2]).areas
    assert np.isnan(areas).tolist() == [False, True]
    mean, error = mean_and_error(areas)
    assert mean == areas[0] and np.isnan(error)


def test_baselines_keep_the_mean_colour():
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype("uint8")
    mean, blurred = baselines(images)
    assert mean.shape == blurred.shape == images.shape
    np.testing.assert_allclose(mean[1, 3, 4], images[1].mean(axis=(0, 1)), rtol=1e-5)
    assert blurred.std() < 0.3 * images.std()


def test_correlations_and_movement_by_hand():
    ramp = np.arange(16.0).reshape(1, 4, 4)
    others = [np.exp(ramp), -ramp, np.ones_like(ramp), ramp.transpose(0, 2, 1)]
    values = [correlations(ramp, other, ranks=True)[0] for other in others]
    np.testing.assert_allclose(values, [1, -1, 0, 8 / 17], atol=1e-12)
    left, right = np.array([[[1.0, 0.0]]]), np.array([[[0.0, 4.0]]])
    assert total_variation(left, right)[0] == 1 and total_variation(left, left * 7)[0] == 0
    own = np.concatenate([left, right])
    scores = movement(own, np.stack([own, own[::-1]]))
    assert scores == {"correlation": 0.0, "total_variation": 0.5, "between_targets": 1.0}


def test_upsampling_is_tensorflows():
    level = np.random.default_rng(0).normal(size=(5, 7))
    for size in ((32, 32), (13, 20), (3, 4)):
        expected = tf.image.resize(level[..., None], size, "bilinear")[..., 0]
        np.testing.assert_allclose(upsample(level, size), expected, atol=1e-6)


def test_entropy_by_hand():
    """An empty map counts as uniform; a single cell leaves nothing to choose; NaN stays visible."""
    one, two = np.zeros((4, 4)), np.zeros((4, 4))
    one[1, 2] = two[1, 2] = two[0, 0] = 3
    maps = np.stack([one, two, np.ones((4, 4)), np.full((4, 4), 0.25), np.zeros((4, 4))])
    np.testing.assert_allclose(normalized_entropy(maps), [0, 0.25, 1, 1, 1])
    assert normalized_entropy(np.array([[[1.0]], [[0.0]]])).tolist() == [0, 0]
    assert np.isnan(normalized_entropy(np.full((1, 2, 2), np.nan))).all()
