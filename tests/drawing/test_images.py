"""Panels that show the image as it is, with scales that stay under their maps."""

import numpy as np

from attention_keras.drawing.charts import confusion_figure
from attention_keras.drawing.images import panel
from attention_keras.drawing.maps import normalize


def test_a_constant_map_is_zeros_never_nan():
    for value in (0.0, 0.25):
        assert (normalize(np.full((3, 3), value)) == 0).all()
        shown = panel(np.zeros((8, 8, 3), "uint8"), {"a": np.full((2, 2), value)}, "t")
        assert shown.dtype == np.uint8


def test_a_panel_is_enlarged_and_keeps_colours():
    image = np.zeros((32, 32, 3), "uint8")
    image[:, :16] = (255, 0, 0)
    shown = panel(image, {"conv10": np.eye(16), "conv13": np.eye(8)}, "true: a    predicted: b (51%)")
    assert shown.shape[0] > 200 and shown.shape[1] > 600
    red = (shown == (255, 0, 0)).all(axis=-1).nonzero()
    black = (shown[:, : shown.shape[1] // 3] == 0).all(axis=-1).nonzero()
    assert len(red[0]) > 15_000  # half of an image enlarged at least 6 times
    assert np.median(red[1]) < np.median(black[1])


def test_the_ends_of_a_scale_stay_under_their_map():
    """Between the maps and beside them the panel is white, from top to bottom, whatever the values."""
    image, level = np.zeros((32, 32, 3), "uint8"), np.array([[-1.0, 0.5], [0.9, 1.0]])
    wrong = []
    for size, maps in [
        (1.2e-7, 3),
        (8.8e-5, 1),
        (0.000888, 3),
        (0.0154, 0),
        (88.0, 3),
        (8.8e5, 1),
        (8.8e20, 3),
    ]:
        values = level * size
        shown = panel(
            image, {f"conv{n}": abs(values) for n in range(maps)}, evidence={"a": values, "b": values}
        )
        white = (shown == 255).all(axis=-1)
        beside = white[60:270].all(axis=0)  # the rows of the maps
        framed = beside[0] and beside[-1] and np.count_nonzero(np.diff(beside)) == 2 * (maps + 3)
        if not framed or not white[280:, beside].all() or white[280:].all():
            wrong.append((size, maps))
    assert not wrong


def test_confusion_figures_of_any_size():
    for classes in (2, 10, 100):
        shown = confusion_figure(np.eye(classes, dtype=int) * 3, [f"class {i}" for i in range(classes)])
        assert shown.dtype == np.uint8 and 400 <= shown.shape[0] <= 1500
