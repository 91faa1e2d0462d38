"""Which maps a network has, which stand for it, and maps of several kinds side by side."""

import keras
import numpy as np
import pytest

from attention_keras import build_model
from attention_keras.errors import NotApplicable
from attention_keras.evaluation.explanations.kinds import (
    RANDOM,
    compute_maps,
    kinds_of,
    locating_kinds,
    shown_kind,
)
from attention_keras.evaluation.explanations.post_hoc import METHODS

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype("float32")


def network(name):
    preprocess = keras.layers.Rescaling(1 / 127.5, offset=-1, name="preprocess")
    return build_model(name, width=0.03, init="keras", preprocess=preprocess)


@pytest.mark.parametrize(
    ("name", "first", "shown", "locating"),
    [
        ("vgg-att2-concat-dp", ["attention"], "attention", ["attention", "Grad-CAM"]),
        ("vgg-gap", ["CAM"], "CAM", ["CAM"]),
        ("vgg", [], "Grad-CAM", ["Grad-CAM"]),
    ],
)
def test_kinds_of_a_network(name, first, shown, locating):
    model = network(name)
    assert [kind.name for kind in kinds_of(model)] == [*first, *METHODS, "random"]
    assert shown_kind(model).name == shown
    assert [kind.name for kind in locating_kinds(model)] == locating


def test_maps_side_by_side():
    model = network("vgg-att2-concat-dp")
    kinds = [kind for kind in kinds_of(model) if kind.name in ("attention", "Grad-CAM", "random")]
    assert [kind.of_class for kind in kinds] == [False, True, False]
    maps = compute_maps(kinds, model, IMAGES, np.array([0, 1, 2]), batch_size=2)
    assert {name: level.shape for name, level in maps.items()} == {
        "attention conv10": (3, 16, 16),
        "attention conv13": (3, 8, 8),
        "Grad-CAM": (3, 8, 8),
        "random": (3, 8, 8),
    }
    np.testing.assert_allclose(maps["attention conv13"], model(IMAGES)["attention_conv13"], atol=1e-6)
    (again,) = compute_maps([RANDOM], model, IMAGES[:2], np.array([5, 6])).values()
    np.testing.assert_array_equal(again, maps["random"][:2])
    (other,) = compute_maps([RANDOM], model, IMAGES[:2], np.array([5, 6]), seed=1).values()
    assert np.abs(other - again).max() > 0.1


def test_a_network_without_a_feature_map_has_nothing_to_show():
    images = keras.Input((32, 32, 3))
    logits = keras.layers.Dense(2)(keras.layers.Flatten()(images))
    model = keras.Model(images, {"logits": logits})
    with pytest.raises(NotApplicable, match="no feature map"):
        shown_kind(model).compute(model, IMAGES, np.zeros(3, int), batch_size=2, seed=0)
