"""Maps enlarged as TensorFlow enlarges them, and their entropy by hand."""

import numpy as np

from attention_keras.measures.maps import normalized_entropy, upsample


def test_bilinear_upsampling_by_hand():
    expected = [[0, 0.25, 0.75, 1], [0.5, 0.75, 1.25, 1.5], [1.5, 1.75, 2.25, 2.5], [2, 2.25, 2.75, 3]]
    np.testing.assert_allclose(upsample(np.array([[0.0, 1.0], [2.0, 3.0]]), (4, 4)), expected)


def test_upsampling_is_tensorflows():
    import tensorflow as tf

    level = np.random.default_rng(0).normal(size=(5, 7))
    for size in ((32, 32), (13, 20), (3, 4)):
        expected = tf.image.resize(level[..., None], size, "bilinear")[..., 0]
        np.testing.assert_allclose(upsample(level, size), expected, atol=1e-6)


def test_entropy_by_hand():
    one = np.zeros((4, 4))
    one[1, 2] = 3
    two = one.copy()
    two[0, 0] = 3
    values = normalized_entropy(np.stack([one, two, np.ones((4, 4)), np.full((4, 4), 0.25)]))
    np.testing.assert_allclose(values, [0, 0.25, 1, 1])


def test_entropy_of_maps_without_a_place():
    """An empty map counts as uniform; a single cell leaves nothing to choose; NaN stays visible."""
    assert normalized_entropy(np.zeros((2, 4, 4))).tolist() == [1, 1]
    assert normalized_entropy(np.array([[[1.0]], [[0.0]]])).tolist() == [0, 0]
    assert np.isnan(normalized_entropy(np.full((1, 2, 2), np.nan))).all()
