"""Which layers are tapped, and the map that each gives."""

import keras
import numpy as np
import pytest
from keras import layers
from small_backbones import mobilenet, vision_transformer

from attention_keras import attend

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")
TAP = "block_13_expand_relu"
LARGE = (96, 96, 3)
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the same Keras code on every backend"
)


def attention_of(model):
    return {name.removeprefix("attention_"): x.shape[1:] for name, x in model.output.items() if "att" in name}


def test_channels_first_gives_the_map_of_channels_last():
    """With a layer that TensorFlow runs on CPUs in both orders; convolutions it does not."""
    found = []
    for data_format in ("channels_last", "channels_first"):
        last = data_format == "channels_last"
        images = keras.Input((8, 10, 3) if last else (3, 8, 10))
        x = layers.UpSampling2D(2, data_format=data_format)(images)
        keras.utils.set_random_seed(1)
        model = attend(keras.Model(images, layers.ReLU(name="relu")(x)), ["relu"], 5, head="linear")
        pixels = IMAGES[:, :8, :10]
        found.append(model(pixels if last else pixels.transpose(0, 3, 1, 2)))
    assert found[1]["attention_relu"].shape == (4, 16, 20)
    for name in ("logits", "attention_relu"):
        np.testing.assert_allclose(found[1][name], found[0][name], atol=1e-4)


def patches(images):
    return layers.Reshape((-1, 6))(layers.Conv2D(6, 16, 16)(images))


def test_tokens_make_the_map_of_their_patches_or_of_the_shape_of_the_images():
    """36 tokens of images of 64x144 pixels are 4x9 places, and no 6x6."""
    images, inner = keras.Input((64, 144, 3)), keras.Input((4, 9, 6))
    model_of_tokens = keras.Model(inner, layers.Reshape((36, 6))(inner))
    tokens = model_of_tokens(layers.Conv2D(6, 1)(layers.AveragePooling2D(16)(images)))
    encoder = vision_transformer((64, 144), patches)
    # By the shape of the images alone: a table of 32 tokens for images twice as wide as high.
    by_shape = vision_transformer((16, 32), lambda images: layers.Reshape((32, 48))(images))
    for backbone, taps, size in (
        (encoder, ["block"], (4, 9)),
        (vision_transformer((64, 144), patches, class_token=True), ["block"], (4, 9)),
        (vision_transformer((64, 144), patches, class_token=True), "auto", (4, 9)),
        (keras.Model(images, layers.LayerNormalization(name="last")(tokens)), ["last"], (4, 9)),
        (keras.Sequential([keras.Input((64, 144, 3)), encoder]), [f"{encoder.name}/last"], (4, 9)),
        (by_shape, ["last"], (4, 8)),
    ):
        assert list(attention_of(attend(backbone, taps, 5)).values()) == [size]


def test_automatic_taps_in_models_of_models_and_of_a_layer_called_twice(caplog):
    images = keras.Input(LARGE)
    augmentation = keras.Sequential([layers.RandomFlip()], name="augmentation")
    application = mobilenet(input_shape=LARGE)
    last = keras.Sequential([layers.Conv2D(4, 1, name="inner")], name="last")
    before = layers.Conv2D(6, 3, 8, name="before")(images)
    encoder = layers.Conv2D(4, 3, padding="same", name="encoder")
    added = layers.Add(name="sum")([encoder(layers.Rescaling(-1)(images)), encoder(images)])
    for backbone, taps in (
        (application, [TAP, "out_relu"]),
        (keras.Sequential([layers.Rescaling(1 / 127.5, offset=-1), application]), [TAP, "out_relu"]),
        (keras.Model(images, application(augmentation(images) / 127.5 - 1)), [TAP, "out_relu"]),
        (keras.Model(images, last(layers.AveragePooling2D(2, name="half")(before))), ["before", "inner"]),
        (keras.Model(images, layers.AveragePooling2D(2, name="half")(added)), ["sum", "half"]),
    ):
        with caplog.at_level("INFO", logger="attention_keras"):
            model = attend(backbone, num_classes=5, head="linear")
        assert list(attention_of(model)) == taps and taps[1] in caplog.text
        model(IMAGES[:1].repeat(3, axis=1).repeat(3, axis=2))
