"""Insertion and deletion against cases with a known answer: a linear model, constant maps."""

import numpy as np
import pytest

from attention_keras.measures import perturbation

SIDE, IMAGES = 8, 24


@pytest.fixture(scope="module")
def linear():
    """A model whose probability is a known weighted sum of pixels, so that the right ranking is known."""
    generator = np.random.default_rng(0)
    weights = generator.random((SIDE, SIDE)) ** 4
    weights /= weights.sum()
    images = np.ones((IMAGES, SIDE, SIDE, 3), "float32")

    def predict(pixels):
        probability = np.einsum("nhwc,hw->n", pixels, weights) / 3
        return np.stack([probability, 1 - probability], axis=1)

    return predict, images, weights


def areas(linear, maps, start_value, end_value, steps=16):
    predict, images, _ = linear
    order = perturbation.pixel_order(maps, (SIDE, SIDE))
    targets = np.zeros(len(images), int)
    curves = perturbation.perturbation_curves(
        predict, images * start_value, images * end_value, order, targets, steps
    )
    return curves.areas.mean()


def test_true_map_beats_random_beats_reverse_and_a_constant_map_is_a_random_order(linear):
    truth = np.repeat(linear[2][None], IMAGES, axis=0)
    random = np.random.default_rng(1).random(truth.shape)
    deletion = [areas(linear, maps, 1, 0) for maps in (truth, random, -truth)]
    insertion = [areas(linear, maps, 0, 1) for maps in (truth, random, -truth)]
    assert deletion[0] < deletion[1] - 0.1 and deletion[1] < deletion[2] - 0.1
    assert insertion[0] > insertion[1] + 0.1 and insertion[1] > insertion[2] + 0.1
    assert all(0 <= area <= 1 for area in deletion + insertion)
    assert areas(linear, np.ones_like(truth), 1, 0) == pytest.approx(0.5, abs=0.03)


def test_area_by_hand():
    """Two pixels that count 3/4 and 1/4, most important first: 1 -> 1/4 -> 0 over thirds of a row of two."""
    images = np.ones((1, 1, 2, 1))
    curves = perturbation.perturbation_curves(
        lambda pixels: (pixels[:, 0, :, 0] @ [0.75, 0.25])[:, None],
        images,
        0 * images,
        perturbation.pixel_order(np.array([[[2.0, 1.0]]]), (1, 2)),
        np.array([0]),
        steps=2,
    )
    assert curves.fractions.tolist() == [0, 0.5, 1]
    assert curves.probabilities.tolist() == [[1, 0.25, 0]]
    assert curves.areas[0] == pytest.approx(0.375)


def test_change_points():
    for pixels, steps in [(64, 16), (65, 16), (7, 100), (1, 1)]:
        points = perturbation.change_points(pixels, steps)
        assert points[0] == 0 and points[-1] == pixels
        gaps = np.diff(points)
        assert len(set(gaps[:-1])) <= 1 and gaps[-1] <= gaps[0] and len(gaps) <= steps


def test_end_points_are_the_two_images_and_the_batch_does_not_matter(linear):
    predict, images, _ = linear
    maps = np.random.default_rng(2).random((IMAGES, 4, 4))
    order = perturbation.pixel_order(maps, (SIDE, SIDE))
    whole = perturbation.perturbation_curves(predict, images, 0 * images, order, np.zeros(IMAGES, int))
    part = perturbation.perturbation_curves(predict, images[:5], 0 * images[:5], order[:5], np.zeros(5, int))
    np.testing.assert_allclose(whole.probabilities[:, 0], 1, atol=1e-6)
    np.testing.assert_allclose(whole.probabilities[:, -1], 0, atol=1e-6)
    np.testing.assert_array_equal(whole.probabilities[:5], part.probabilities)
    np.testing.assert_array_equal(perturbation.pixel_order(maps[:5], (SIDE, SIDE)), order[:5])


def test_a_map_that_is_not_finite_is_left_out(linear):
    predict, images, _ = linear
    maps = np.ones((2, 4, 4))
    maps[1, 0, 0] = np.nan
    order = perturbation.pixel_order(maps, (SIDE, SIDE))
    curves = perturbation.perturbation_curves(predict, images[:2], 0 * images[:2], order, np.zeros(2, int))
    assert np.isnan(curves.areas).tolist() == [False, True]
    mean, error = perturbation.mean_and_error(curves.areas)
    assert mean == curves.areas[0] and np.isnan(error)


def test_baselines_keep_the_mean_colour():
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype("uint8")
    mean, blurred = perturbation.baselines(images)
    assert mean.shape == blurred.shape == images.shape
    np.testing.assert_allclose(mean[1, 3, 4], images[1].mean(axis=(0, 1)), rtol=1e-5)
    assert blurred.std() < 0.3 * images.std()
