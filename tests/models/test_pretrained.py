"""Networks of keras.applications: sizes, weights, pixels as they want them, what is said offline."""

import importlib
import urllib.error

import keras
import numpy as np
import pytest
from keras import layers

from attention_keras.errors import UserError
from attention_keras.layers.preprocess import PixelAffine
from attention_keras.models.pretrained import (
    application_pixels,
    application_size,
    begins_with_preprocessing,
    build_application,
    needed_preprocessing,
    preprocessing_layer,
)

SHAPE = (32, 32, 3)
NAMES = sorted(name for name in dir(keras.applications) if name[0].isupper())
PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 5, 4, 3)).astype("float32")
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the same Keras code on every backend"
)


@on_tensorflow
def test_sizes_are_those_of_keras(monkeypatch):
    """Each application tells Keras its default size before it builds anything."""

    class Told(Exception):
        pass

    def tell(input_shape, default_size, **options):
        raise Told(default_size)

    monkeypatch.setattr("keras.src.applications.imagenet_utils.obtain_input_shape", tell)
    assert len(NAMES) > 30
    for name in (name for name in NAMES if "MobileNetV3" not in name):  # it has 224 written into it
        with pytest.raises(Told) as told:
            getattr(keras.applications, name)(include_top=False, weights=None)
        assert told.value.args[0] == application_size(name), name


@on_tensorflow
def test_weights_come_from_a_file_that_fits(tmp_path):
    trained = build_application("MobileNetV2", SHAPE)
    trained.save_weights(tmp_path / "mine.weights.h5")
    trained.save(tmp_path / "mine.keras")
    for file in ("mine.weights.h5", "mine.keras"):
        loaded = build_application("MobileNetV2", SHAPE, str(tmp_path / file))
        for one, other in zip(trained.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    keras.Sequential([keras.Input((4,)), layers.Dense(2)]).save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(UserError, match=r"cannot use .*other\.weights\.h5 as weights of MobileNetV2"):
        build_application("MobileNetV2", SHAPE, str(tmp_path / "other.weights.h5"))


@on_tensorflow
def test_without_a_network_it_is_said_what_to_download_and_where_to_put_it(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", refuse)
    with pytest.raises(UserError, match=r"weights imagenet of \w+ are not on this machine") as error:
        build_application("EfficientNetV2B0", SHAPE, "imagenet")
    assert "~/.keras/models/efficientnetv2-b0_notop.h5" in str(error.value)


def test_preprocessing_inside_is_found():
    def first(*first):
        return keras.Sequential([keras.Input(SHAPE), *first, layers.Conv2D(2, 3)])

    rescaling, normalization = layers.Rescaling(1 / 255), layers.Normalization(mean=[1.0], variance=[1.0])
    nested = first(layers.Rescaling(1 / 255))
    for before in ([rescaling], [normalization], [layers.ZeroPadding2D(), rescaling], [nested]):
        assert begins_with_preprocessing(first(*before))
    assert not begins_with_preprocessing(first(layers.Conv2D(3, 1)))
    for name, needed in (("EfficientNetV2B0", None), ("MobileNetV2", "MobileNetV2")):
        assert needed_preprocessing(build_application(name, SHAPE)) == needed


def test_preprocessing_is_the_applications_own():
    wrong = {}
    for name in NAMES:
        module = importlib.import_module(getattr(keras.applications, name).__module__)
        for shape, data_format in (((0, 1, 2, 3), "channels_last"), ((0, 3, 1, 2), "channels_first")):
            pixels = PIXELS.transpose(shape)
            expected = module.preprocess_input(pixels.copy(), data_format=data_format)
            layer = PixelAffine.from_config(application_pixels(name, data_format).get_config())
            difference = np.abs(keras.ops.convert_to_numpy(layer(pixels)) - expected).max()
            if not difference < 3e-5:
                wrong[name, data_format] = difference
    assert not wrong
    for shape, data_format in (((None, None, 3), "channels_last"), ((3, 8, 8), "channels_first")):
        assert preprocessing_layer("ResNet50", shape).data_format == data_format
    assert preprocessing_layer("EfficientNetV2B0") is None
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = keras.ops.convert_to_numpy(preprocessing_layer("imagenet")(PIXELS))
    np.testing.assert_allclose(pixels, (PIXELS / 255 - mean) / deviation, atol=2e-5)
