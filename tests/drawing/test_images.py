"""Panels that show the image as it is, with scales that stay under their maps."""

import io

import numpy as np
import pytest
from PIL import Image

from attention_keras.drawing.canvas import new_figure, pixels, png
from attention_keras.drawing.charts import confusion_figure
from attention_keras.drawing.images import panel, prediction_title
from attention_keras.drawing.maps import normalize
from attention_keras.models.outputs import attention_maps


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_a_constant_map_is_zeros_never_nan(value):
    assert (normalize(np.full((3, 3), value)) == 0).all()
    picture = panel(np.zeros((8, 8, 3), "uint8"), {"a": np.full((2, 2), value)}, "t")
    assert picture.dtype == np.uint8


def test_a_panel_is_enlarged_and_keeps_colours():
    image = np.zeros((32, 32, 3), "uint8")
    image[:, :16] = (255, 0, 0)
    picture = panel(image, {"conv10": np.eye(16), "conv13": np.eye(8)}, "true: a    predicted: b (51%)")
    assert picture.shape[0] > 200 and picture.shape[1] > 600
    red = (picture == (255, 0, 0)).all(axis=-1).nonzero()
    black = (picture[:, : picture.shape[1] // 3] == 0).all(axis=-1).nonzero()
    assert len(red[0]) > 15_000  # half of an image enlarged at least 6 times
    assert np.median(red[1]) < np.median(black[1])


@pytest.mark.parametrize("size", [1.2e-7, 8.8e-5, 0.000888, 0.0154, 0.5, 88.0, 8.8e5, 8.8e20])
@pytest.mark.parametrize("maps", [0, 1, 3])
def test_the_ends_of_a_scale_stay_under_their_map(size, maps):
    """Between the maps and beside them the picture is white, from top to bottom, whatever the values."""
    image, level = np.zeros((32, 32, 3), "uint8"), np.array([[-1.0, 0.5], [0.9, 1.0]]) * size
    picture = panel(image, {f"conv{n}": abs(level) for n in range(maps)}, evidence={"a": level, "b": level})
    white = (picture == 255).all(axis=-1)
    beside = white[70:230].all(axis=0)  # the rows of the maps
    assert beside[0] and beside[-1] and np.count_nonzero(np.diff(beside)) == 2 * (maps + 3)
    assert white[260:, beside].all() and not white[260:].all()


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


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_confusion_pictures_of_any_size(classes):
    matrix = np.eye(classes, dtype=int) * 3
    picture = confusion_figure(matrix, [f"class {i}" for i in range(classes)])
    assert picture.dtype == np.uint8 and 400 <= picture.shape[0] <= 1500


def test_a_png_holds_the_pixels():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype("uint8")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(picture)))), picture)


def test_the_canvas_is_white_and_as_large_as_asked():
    picture = pixels(new_figure(3, 2, dpi=50))
    assert picture.shape == (100, 150, 3) and (picture == 255).all()
