"""Overlays that show the right cell in the right colours."""

import numpy as np

from attention_keras.drawing.cells import fitted
from attention_keras.drawing.maps import overlay, signed_overlay


def test_the_hottest_pixel_is_where_attention_peaks():
    image = np.full((32, 32, 3), 100, "uint8")
    attention = np.zeros((8, 8))
    attention[1, 6] = 1
    heat = overlay(image, attention).astype(int).sum(axis=-1)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert (y // 4, x // 4) == (1, 6)


def test_small_pixels_stay_squares_and_a_mask_stays_a_mask():
    image = np.arange(12, dtype="uint8").reshape(2, 2, 3)
    large = fitted(image, 6)
    assert large.shape == (6, 6, 3) and large.dtype == np.uint8
    assert (large[:3, :3] == image[0, 0]).all() and (large[3:, 3:] == image[1, 1]).all()
    assert fitted(np.zeros((300, 600, 3), "uint8"), 100).shape == (50, 100, 3)
    assert fitted(np.eye(4, dtype=bool), 6).dtype == bool


def test_evidence_is_red_for_and_blue_against_and_grey_where_there_is_none():
    image = np.full((8, 8, 3), 120, "uint8")
    evidence = np.zeros((4, 4))
    evidence[0, 0], evidence[3, 3] = 2.0, -2.0
    shown = signed_overlay(image, evidence).astype(int)
    red, blue, plain = shown[0, 0], shown[7, 7], shown[0, 7]
    assert red[0] > 90 > red[2]
    assert blue[2] > 80 > blue[0]
    assert plain.tolist() == [120, 120, 120]
    # Half as strong on a scale twice as long.
    weaker = signed_overlay(image, evidence, limit=4.0).astype(int)
    assert np.abs(weaker[0, 0] - 120).sum() < np.abs(red - 120).sum()
    assert (signed_overlay(image, np.zeros((4, 4))) == 120).all()
