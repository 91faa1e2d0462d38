"""Maps enlarged as TensorFlow enlarges them, and their entropy by hand."""

import numpy as np
import tensorflow as tf

from attention_keras.measures.maps import normalized_entropy, upsample


def test_upsampling_is_tensorflows():
    level = np.random.default_rng(0).normal(size=(5, 7))
    for size in ((32, 32), (13, 20), (3, 4)):
        expected = tf.image.resize(level[..., None], size, "bilinear")[..., 0]
        np.testing.assert_allclose(upsample(level, size), expected, atol=1e-6)


def test_entropy_by_hand():
    """An empty map counts as uniform; a single cell leaves nothing to choose; NaN stays visible."""
    one, two = np.zeros((4, 4)), np.zeros((4, 4))
    one[1, 2] = two[1, 2] = two[0, 0] = 3
    values = normalized_entropy(
        np.stack([one, two, np.ones((4, 4)), np.full((4, 4), 0.25), np.zeros((4, 4))])
    )
    np.testing.assert_allclose(values, [0, 0.25, 1, 1, 1])
    assert normalized_entropy(np.array([[[1.0]], [[0.0]]])).tolist() == [0, 0]
    assert np.isnan(normalized_entropy(np.full((1, 2, 2), np.nan))).all()
