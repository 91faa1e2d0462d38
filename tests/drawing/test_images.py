"""Maps over images in the right places and colours, and scales that stay under their maps."""

import numpy as np

from attention_keras import overlay
from attention_keras.drawing.cells import compose, fitted, signed_overlay
from attention_keras.drawing.charts import confusion_figure
from attention_keras.drawing.images import cells


def test_the_hottest_pixel_is_where_attention_peaks_and_a_constant_map_is_dark():
    image, attention = np.full((32, 32, 3), 100, "uint8"), np.zeros((8, 8))
    attention[1, 6] = 1
    heat = overlay(image, attention).astype(int).sum(axis=-1)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert (y // 4, x // 4) == (1, 6)
    np.testing.assert_array_equal(overlay(image, np.full((3, 3), 0.25)), overlay(image, np.zeros((3, 3))))


def test_evidence_is_red_for_and_blue_against_and_grey_where_there_is_none():
    image, evidence = np.full((8, 8, 3), 120, "uint8"), np.zeros((4, 4))
    evidence[0, 0], evidence[3, 3] = 2.0, -2.0
    shown = signed_overlay(image, evidence).astype(int)
    red, blue, plain = shown[0, 0], shown[7, 7], shown[0, 7]
    assert red[0] > 90 > red[2] and blue[2] > 80 > blue[0] and plain.tolist() == [120, 120, 120]
    # Half as strong on a scale twice as long.
    weaker = signed_overlay(image, evidence, limit=4.0).astype(int)
    assert np.abs(weaker[0, 0] - 120).sum() < np.abs(red - 120).sum()
    assert (signed_overlay(image, np.zeros((4, 4))) == 120).all()


def test_small_pixels_stay_squares_and_a_mask_stays_a_mask():
    image = np.arange(12, dtype="uint8").reshape(2, 2, 3)
    large = fitted(image, 6)
    assert large.shape == (6, 6, 3) and large.dtype == np.uint8
    assert (large[:3, :3] == image[0, 0]).all() and (large[3:, 3:] == image[1, 1]).all()
    assert fitted(np.zeros((300, 600, 3), "uint8"), 100).shape == (50, 100, 3)
    assert fitted(np.eye(4, dtype=bool), 6).dtype == bool


def test_the_ends_of_a_scale_stay_under_their_map():
    """Between the maps and beside them a drawing is white, from top to bottom, whatever the values."""
    image, level = np.zeros((32, 32, 3), "uint8"), np.array([[-1.0, 0.5], [0.9, 1.0]])
    wrong = []
    for size, count in [(1.2e-7, 3), (8.8e-5, 1), (0.000888, 3), (0.0154, 0), (88.0, 3), (8.8e20, 3)]:
        values = level * size
        maps = {f"conv{n}": abs(values) for n in range(count)}
        white = (compose([cells(image, maps, {"a": values, "b": values})]) == 255).all(axis=-1)
        beside = white[60:270].all(axis=0)  # the rows of the maps
        framed = beside[0] and beside[-1] and np.count_nonzero(np.diff(beside)) == 2 * (count + 3)
        if not framed or not white[280:, beside].all() or white[280:].all():
            wrong.append((size, count))
    assert not wrong


def test_confusion_figures_of_any_size():
    for classes in (2, 10, 100):
        shown = confusion_figure(np.eye(classes, dtype=int) * 3, [f"class {i}" for i in range(classes)])
        assert shown.dtype == np.uint8 and 400 <= shown.shape[0] <= 1500
