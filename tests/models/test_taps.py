"""Which layers are tapped, and the map that each gives."""

import logging

import keras
import numpy as np
import pytest
from keras import layers

from attention_keras import attend
from attention_keras.models.graph import layer_paths
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
        model = attend(backbone, ["relu"], 5, head="linear")
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
        model = attend(backbone, "auto", 5, head="linear")
    assert set(model.output) == {"logits", f"attention_{TAP}", "attention_out_relu"}
    assert f"taps chosen are {TAP}, out_relu" in caplog.text


def test_the_last_call_of_a_layer_says_how_deep_it_is():
    images = keras.Input((8, 8, 3))
    encoder = layers.Conv2D(4, 3, padding="same", name="encoder")
    turned = layers.Rescaling(-1, name="turned")
    pooled = layers.AveragePooling2D(2, name="pooled")
    backbone = keras.Model(images, pooled(encoder(turned(images)) + encoder(images)))
    paths = layer_paths(backbone)
    assert automatic_taps(paths) == ["add", "pooled"]
    assert list(paths).index("encoder") > list(paths).index("turned")


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
    assert automatic_taps(layer_paths(backbone)) == AUTOMATIC[name]


def vision_transformer(size, make_tokens, class_token=False):
    images = keras.Input((*size, 3))
    x = make_tokens(images)
    if class_token:
        token = layers.Embedding(1, x.shape[-1])(layers.Flatten()(x)[:, :1] * 0)
        x = layers.Concatenate(axis=1)([token, x])
    x = layers.Add(name="block")([x, layers.MultiHeadAttention(2, 3)(x, x)])
    return keras.Model(images, layers.LayerNormalization(name="last")(x))


def patches(images):
    return layers.Reshape((-1, 6))(layers.Conv2D(6, 16, 16)(images))


def test_tokens_make_the_map_of_their_patches_or_of_the_shape_of_the_images():
    """36 tokens of images of 64x144 pixels are 4x9 places, and no 6x6."""
    for class_token in (False, True):
        model = attend(vision_transformer((64, 144), patches, class_token), ["block"], 5)
        assert model.output["attention_block"].shape == (None, 4, 9)
        model = attend(vision_transformer((64, 144), patches, class_token), "auto", 5)
        assert [tensor.shape[1:] for name, tensor in model.output.items() if "attention" in name] == [(4, 9)]
    pooled = layers.AveragePooling2D(16, name="pooled")
    encoder = vision_transformer((64, 144), patches)
    inner = keras.Input((4, 9, 6))
    tokens_of_a_model = keras.Model(inner, layers.Reshape((36, 6))(inner))
    images = keras.Input((64, 144, 3))
    x = tokens_of_a_model(layers.Conv2D(6, 1)(pooled(images)))
    model = attend(keras.Model(images, layers.LayerNormalization(name="last")(x)), ["last"], 5)
    assert model.output["attention_last"].shape == (None, 4, 9)
    model = attend(keras.Sequential([keras.Input((64, 144, 3)), encoder]), [f"{encoder.name}/last"], 5)
    assert model.output["attention_last"].shape == (None, 4, 9)
    # By the shape of the images alone: a table of 32 tokens for images twice as wide as high.
    by_shape = vision_transformer((16, 32), lambda images: layers.Reshape((32, 48))(images))
    assert attend(by_shape, ["last"], 5).output["attention_last"].shape == (None, 4, 8)


def test_automatic_taps_in_models_of_models():
    def application():
        return keras.applications.MobileNetV2(
            include_top=False, weights=None, input_shape=(96, 96, 3), alpha=0.35
        )

    images = keras.Input((96, 96, 3))
    augmentation = keras.Sequential([layers.RandomFlip()], name="augmentation")
    augmented = keras.Model(images, application()(augmentation(images) / 127.5 - 1))
    last = keras.Sequential([layers.Conv2D(4, 1, name="inner")], name="last")
    before = layers.Conv2D(6, 3, 8, name="before")(images)
    for backbone, taps in (
        (keras.Sequential([layers.Rescaling(1 / 127.5, offset=-1), application()]), [TAP, "out_relu"]),
        (augmented, [TAP, "out_relu"]),
        (keras.Model(images, last(layers.AveragePooling2D(2, name="half")(before))), ["before", "inner"]),
    ):
        model = attend(backbone, num_classes=5, head="linear")
        assert [name for name in model.output if name != "logits"] == [f"attention_{tap}" for tap in taps]
        model(IMAGES[:1].repeat(3, axis=1).repeat(3, axis=2))
