"""Overlays that show the right place in the right colours, and the entropy of maps by hand."""

import numpy as np
import pytest

from attention_keras.drawing.maps import (
    enlarge,
    normalize,
    normalized_entropy,
    overlay,
    signed_overlay,
    upsample,
)


def test_bilinear_upsampling_by_hand():
    expected = [[0, 0.25, 0.75, 1], [0.5, 0.75, 1.25, 1.5], [1.5, 1.75, 2.25, 2.5], [2, 2.25, 2.75, 3]]
    np.testing.assert_allclose(upsample(np.array([[0.0, 1.0], [2.0, 3.0]]), (4, 4)), expected)


def test_upsampling_is_tensorflows():
    import tensorflow as tf

    level = np.random.default_rng(0).normal(size=(5, 7))
    for size in ((32, 32), (13, 20), (3, 4)):
        for how in ("bilinear", "nearest"):
            expected = tf.image.resize(level[..., None], size, how)[..., 0]
            if how == "bilinear" or size == (32, 32):
                np.testing.assert_allclose(upsample(level, size, how), expected, atol=1e-6)
    with pytest.raises(ValueError, match="bilinear or nearest"):
        upsample(level, (8, 8), "cubic")


def test_the_hottest_pixel_is_where_attention_peaks():
    image = np.full((32, 32, 3), 100, "uint8")
    attention = np.zeros((8, 8))
    attention[1, 6] = 1
    heat = overlay(image, attention).astype(int).sum(axis=-1)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert (y // 4, x // 4) == (1, 6)


def test_an_image_without_attention_keeps_its_shape_and_orientation():
    image = np.zeros((16, 16, 3), "uint8")
    image[0, :, 0] = 255
    shown = overlay(image, np.zeros((4, 4)), strength=0.0)
    assert (shown[0] == 76).all() and (shown[1:] == 0).all()  # 0.299 * 255: the red row is on top, in grey


def test_a_shared_scale_compares_maps():
    assert normalize(np.array([[0.0, 0.5]]), maximum=1.0).tolist() == [[0, 0.5]]
    assert normalize(np.array([[0.0, 0.5]])).tolist() == [[0, 1]]


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


def test_enlarging_repeats_pixels():
    image = np.arange(12, dtype="uint8").reshape(2, 2, 3)
    large = enlarge(image, 7)
    assert large.shape == (6, 6, 3) and large.dtype == np.uint8
    np.testing.assert_array_equal(large[1::3, 1::3], image)
    assert (large[:3, :3] == image[0, 0]).all() and (large[3:, 3:] == image[1, 1]).all()
    np.testing.assert_array_equal(enlarge(image, 1), image)


def test_evidence_is_red_for_and_blue_against_and_grey_where_there_is_none():
    image = np.full((8, 8, 3), 120, "uint8")
    evidence = np.zeros((4, 4))
    evidence[0, 0], evidence[3, 3] = 2.0, -2.0
    picture = signed_overlay(image, evidence).astype(int)
    red, blue, plain = picture[0, 0], picture[7, 7], picture[0, 7]
    assert red[0] > 90 > red[2]
    assert blue[2] > 80 > blue[0]
    assert plain.tolist() == [120, 120, 120]
    # Half as strong on a scale twice as long.
    weaker = signed_overlay(image, evidence, limit=4.0).astype(int)
    assert np.abs(weaker[0, 0] - 120).sum() < np.abs(red - 120).sum()
    assert (signed_overlay(image, np.zeros((4, 4))) == 120).all()
