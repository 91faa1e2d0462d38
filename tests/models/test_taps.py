"""Which layers are tapped, and the map that each gives."""

import logging

import keras
import numpy as np
import pytest
from keras import layers

from attention_keras import attend
from attention_keras.models.graph import graph_tensors
from attention_keras.models.taps import automatic_taps

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")
TAP = "block_13_expand_relu"
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="test_attend.py runs on every backend",
)


def test_channels_first_gives_the_map_of_channels_last():
    """With a layer that TensorFlow runs on CPUs in both orders; convolutions it does not."""
    found = []
    for data_format in ("channels_last", "channels_first"):
        last = data_format == "channels_last"
        images = keras.Input((8, 10, 3) if last else (3, 8, 10))
        x = layers.UpSampling2D(2, data_format=data_format)(images)
        backbone = keras.Model(images, layers.ReLU(name="relu")(x))
        keras.utils.set_random_seed(1)
        model = attend(backbone, ["relu"], 5)
        pixels = IMAGES[:, :8, :10]
        found.append(model(pixels if last else pixels.transpose(0, 3, 1, 2)))
    assert found[1]["attention_relu"].shape == (4, 16, 20)
    for name in ("logits", "attention_relu"):
        np.testing.assert_allclose(found[1][name], found[0][name], atol=1e-4)


def test_automatic_taps_are_named(caplog):
    backbone = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(96, 96, 3), alpha=0.35
    )
    with caplog.at_level(logging.INFO, logger="attention_keras"):
        model = attend(backbone, "auto", 5)
    assert set(model.output) == {"logits", f"attention_{TAP}", "attention_out_relu"}
    assert f"taps chosen are {TAP}, out_relu" in caplog.text


def test_the_last_call_of_a_layer_says_how_deep_it_is():
    images = keras.Input((8, 8, 3))
    encoder = layers.Conv2D(4, 3, padding="same", name="encoder")
    turned = layers.Rescaling(-1, name="turned")
    pooled = layers.AveragePooling2D(2, name="pooled")
    backbone = keras.Model(images, pooled(encoder(turned(images)) + encoder(images)))
    assert automatic_taps(backbone) == ["add", "pooled"]
    assert list(graph_tensors(backbone)).index("encoder") > list(graph_tensors(backbone)).index("turned")


AUTOMATIC = {
    "ResNet50": ["conv4_block6_out", "conv5_block3_out"],
    "DenseNet121": ["pool4_conv", "relu"],
    "EfficientNetV2B0": ["block6a_expand_activation", "top_activation"],
    "VGG16": ["block5_conv3", "block5_pool"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", AUTOMATIC)
def test_automatic_taps_of_applications(name):
    application = getattr(keras.applications, name)
    backbone = application(include_top=False, weights=None, input_shape=(96, 96, 3))
    assert automatic_taps(backbone) == AUTOMATIC[name]
