"""Pixels as the backbone wants them, and whose weights train."""

import importlib

import keras
import numpy as np
import pytest
from keras import layers

from attention_keras import attend
from attention_keras.heads import LinearHead
from attention_keras.layers.preprocess import PixelAffine
from attention_keras.models.pretrained import application_pixels, preprocessing_layer

PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 5, 4, 3)).astype("float32")
FAMILIES = sorted(name for name in dir(keras.applications) if name[0].isupper())


def test_preprocessing_is_the_applications_own():
    assert len(FAMILIES) > 30
    wrong = {}
    for name in FAMILIES:
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


def test_what_leaves_pixels_as_they_are_puts_no_layer_into_the_graph():
    assert preprocessing_layer("EfficientNetV2B0") is None
    assert preprocessing_layer("ResNet50").order == [2, 1, 0]


def test_imagenet_is_what_torch_networks_expect():
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = keras.ops.convert_to_numpy(preprocessing_layer("imagenet")(PIXELS))
    np.testing.assert_allclose(pixels, (PIXELS / 255 - mean) / deviation, atol=2e-5)


def convolution():
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv")(images)
    return keras.Model(images, layers.BatchNormalization(name="norm")(x))


def test_raw_pixels_go_through_the_preprocessing_to_the_backbone():
    backbone, pixels = convolution(), np.tile(PIXELS, (1, 2, 2, 1))[:, :8, :8]
    model = attend(backbone, ["norm"], 3, preprocess="ResNet50", head=LinearHead(local_norm="none"))
    found = keras.Model(model.input, model.get_layer("pool_norm").input[0])(pixels)
    bgr = keras.applications.resnet.preprocess_input(pixels.copy())
    found, expected = (keras.ops.convert_to_numpy(x) for x in (found, backbone(bgr)))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def fit_once(model):
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(np.random.default_rng(1).uniform(-1, 1, (4, 8, 8, 3)), np.arange(4) % 3, verbose=0)


def moved(before, after):
    return [bool(np.abs(a - b).max() > 0) for a, b in zip(before, after)]


def test_a_frozen_backbone_stays_frozen_batch_statistics_too():
    backbone = convolution()
    backbone.trainable = False
    before = backbone.get_weights()
    fit_once(attend(backbone, ["norm"], 3, head="linear"))
    assert not any(moved(before, backbone.get_weights()))
    assert not backbone.trainable


def test_the_backbone_s_own_layers_train_and_can_be_frozen_afterwards():
    backbone = convolution()
    model = attend(backbone, ["norm"], 3, head="linear")
    before = backbone.get_weights()
    fit_once(model)
    assert all(moved(before, backbone.get_weights()))
    backbone.trainable = False
    before = backbone.get_weights()
    fit_once(model)
    assert not any(moved(before, backbone.get_weights()))


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("preprocess", [None, "ResNet50"])
def test_a_copy_has_the_weights_and_the_flags_and_leaves_the_backbone_as_it_is(trainable, preprocess):
    backbone = convolution()
    backbone.trainable = trainable
    before = backbone.get_weights()
    model = attend(backbone, ["norm"], 3, head="linear", copy=True, preprocess=preprocess)
    layer = next(layer for layer in model._flatten_layers() if layer.name == "conv")
    kernel = keras.ops.convert_to_numpy(layer.kernel).copy()
    np.testing.assert_array_equal(kernel, before[0])
    fit_once(model)
    assert (np.abs(keras.ops.convert_to_numpy(layer.kernel) - kernel).max() > 0) is np.bool_(trainable)
    assert not any(moved(before, backbone.get_weights()))
