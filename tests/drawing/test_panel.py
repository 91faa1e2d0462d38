"""Overlays that show the right place in the right colours, and confusion matrices that count right."""

import numpy as np
import pytest

from attention_keras.drawing.confusion import confusion_figure, confusion_matrix
from attention_keras.drawing.maps import normalize, overlay, upsample
from attention_keras.drawing.panel import panel, prediction_title
from attention_keras.models.outputs import attention_maps


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


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_a_constant_map_is_zeros_never_nan(value):
    assert (normalize(np.full((3, 3), value)) == 0).all()
    picture = panel(np.zeros((8, 8, 3), "uint8"), {"a": np.full((2, 2), value)}, "t", shared_scale=value == 0)
    assert picture.dtype == np.uint8


def test_a_shared_scale_compares_maps():
    assert normalize(np.array([[0.0, 0.5]]), maximum=1.0).tolist() == [[0, 0.5]]
    assert normalize(np.array([[0.0, 0.5]])).tolist() == [[0, 1]]


def test_a_panel_is_enlarged_and_keeps_colours():
    image = np.zeros((32, 32, 3), "uint8")
    image[:, :16] = (255, 0, 0)
    picture = panel(image, {"conv10": np.eye(16), "conv13": np.eye(8)}, "true: a    predicted: b (51%)")
    assert picture.shape[0] > 200 and picture.shape[1] > 600
    red = (picture == (255, 0, 0)).all(axis=-1).nonzero()
    black = (picture[:, : picture.shape[1] // 3] == 0).all(axis=-1).nonzero()
    assert len(red[0]) > 15_000  # half of an image enlarged at least 6 times
    assert np.median(red[1]) < np.median(black[1])


def test_titles():
    names = ["cat", "dog"]
    assert prediction_title(np.array([0.2, 0.8]), names, 1) == ("true: dog    predicted: dog (80%)", True)
    assert prediction_title(np.array([0.2, 0.8]), names, 0)[1] is False
    assert prediction_title(np.array([0.2, 0.8]), names) == ("predicted: dog (80%)", None)


def test_attention_outputs_by_tap():
    late, early, also_late = np.zeros((5, 2, 3)), np.zeros((5, 4, 4)), np.zeros((5, 3, 2))
    outputs = {
        "logits": np.zeros((5, 9)),
        "attention_b": late,
        "attention_conv7": early,
        "attention_a": also_late,
    }
    maps = attention_maps(outputs)
    assert list(maps) == ["conv7", "b", "a"] and maps["conv7"] is early and maps["a"] is also_late


def test_confusion_counts():
    labels, predicted = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 2, 0])
    assert confusion_matrix(labels, predicted, 3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_confusion_pictures_of_any_size(classes):
    matrix = np.eye(classes, dtype=int) * 3
    picture = confusion_figure(matrix, [f"class {i}" for i in range(classes)])
    assert picture.dtype == np.uint8 and 400 <= picture.shape[0] <= 1500
