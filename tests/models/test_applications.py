"""Networks of keras.applications as backbones: their sizes, their weights, what is said without a network."""

import urllib.error

import keras
import numpy as np
import pytest
from keras import layers

from attention_keras import build_model
from attention_keras.errors import UserError
from attention_keras.models.pretrained import (
    application_size,
    begins_with_preprocessing,
    build_application,
)
from attention_keras.models.spec import ModelSpec

SHAPE = (32, 32, 3)
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the same Keras code on every backend"
)


def test_sizes_are_those_of_keras(monkeypatch):
    """Each application tells Keras its default size before it builds anything."""

    class Told(Exception):
        pass

    def tell(input_shape, default_size, **options):
        raise Told(default_size)

    monkeypatch.setattr("keras.src.applications.imagenet_utils.obtain_input_shape", tell)
    names = [name for name in dir(keras.applications) if name[0].isupper() and "MobileNetV3" not in name]
    assert len(names) > 30  # MobileNetV3 has 224 written into it
    for name in names:
        with pytest.raises(Told) as told:
            getattr(keras.applications, name)(include_top=False, weights=None)
        assert told.value.args[0] == application_size(name), name


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_weights_come_from_a_file(suffix, tmp_path):
    keras.utils.set_random_seed(1)
    trained = build_application("MobileNetV2", SHAPE)
    file = tmp_path / f"mine{suffix}"
    (trained.save_weights if suffix == ".weights.h5" else trained.save)(file)
    keras.utils.set_random_seed(2)
    loaded = build_application("MobileNetV2", SHAPE, str(file))
    for one, other in zip(trained.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_that_do_not_fit(tmp_path):
    keras.Sequential([keras.Input((4,)), layers.Dense(2)]).save_weights(tmp_path / "other.weights.h5")
    for weights in (tmp_path / "other.weights.h5", tmp_path / "nothing.weights.h5"):
        with pytest.raises(
            UserError, match=f"cannot use .*{weights.name} as weights of MobileNetV2"
        ) as error:
            build_application("MobileNetV2", SHAPE, str(weights))
        assert "\n" not in str(error.value)


def test_without_a_network_it_is_said_what_to_download_and_where_to_put_it(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", refuse)
    with pytest.raises(UserError, match=r"weights imagenet of \w+ are not on this machine") as error:
        build_application("EfficientNetV2B0", SHAPE, "imagenet")
    assert "keras.applications.EfficientNetV2B0(include_top=False)" in str(error.value)
    assert "~/.keras/models/efficientnetv2-b0_notop.h5" in str(error.value) and "\n" not in str(error.value)


def test_an_application_that_cannot_take_the_images():
    with pytest.raises(UserError, match="InceptionV3 cannot take images of"):
        build_application("InceptionV3", SHAPE, "imagenet")


def test_taps_are_chosen_where_none_are_given():
    spec = ModelSpec(backbone="keras:MobileNetV2", head="linear", compat="scaled")
    assert spec.name == "mobilenetv2-att-linear-scaled"
    model = build_model(spec, (64, 64, 3), 5)
    assert list(model.output) == ["logits", "attention_block_13_expand_relu", "attention_out_relu"]


def with_first(layer):
    return keras.Sequential([keras.Input(SHAPE), layer, layers.Conv2D(2, 3)])


def test_preprocessing_inside_is_found():
    for make, own in (
        (lambda: with_first(layers.Rescaling(1 / 255)), True),
        (lambda: with_first(layers.Normalization(mean=[1.0] * 3, variance=[1.0] * 3)), True),
        (lambda: keras.Sequential([keras.Input(SHAPE), layers.ZeroPadding2D(), layers.Rescaling(2.0)]), True),
        (lambda: keras.Sequential([keras.Input(SHAPE), with_first(layers.Rescaling(1 / 255))]), True),
        (lambda: with_first(layers.Conv2D(3, 1)), False),
        (lambda: build_application("EfficientNetV2B0", SHAPE), True),
        (lambda: build_application("MobileNetV2", SHAPE), False),
    ):
        assert begins_with_preprocessing(make()) == own
