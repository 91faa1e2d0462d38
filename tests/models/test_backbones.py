"""attend() on every kind of backbone: a step of training, a file, the same numbers from the file."""

import keras
import numpy as np
import pytest
from keras import layers
from small_backbones import convolutions, mobilenet

from attention_keras import attend
from attention_keras.heads import LinearHead

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 255, (4, 32, 32, 3)).astype("float32")
MOBILENET_TAP = "block_13_expand_relu"
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="test_attend.py runs on every backend",
)


def functional():
    return attend(convolutions(), ["early", "late"], 5, head="linear")


def sequential_around_an_application():
    """Nothing but the application inside says how large the images are."""
    backbone = keras.Sequential([layers.Rescaling(1 / 127.5, offset=-1), mobilenet()])
    return attend(backbone, [f"mobilenetv2/{MOBILENET_TAP}", "mobilenetv2/out_relu"], 5, head="linear")


def two_levels_of_nesting():
    images = keras.Input((32, 32, 3))
    inner = keras.Sequential([keras.Input((32, 32, 3)), convolutions()], name="inner")
    inner.layers[0].name = "convolutions"
    backbone = keras.Model(images, inner(layers.Rescaling(1 / 255)(images)))
    return attend(backbone, ["inner/convolutions/early"], 5, head="linear")


def several_outputs():
    backbone = convolutions()
    pooled = layers.GlobalMaxPooling2D(name="strongest")(backbone.output)
    backbone = keras.Model(backbone.inputs, [backbone.get_layer("early").output, pooled])
    return attend(backbone, ["early"], 5, head=LinearHead(global_features="strongest"))


def any_image_size():
    return attend(convolutions((None, None, 3)), ["early", "late"], 5, head="linear")


def vision_transformer(class_token):
    """Patches of 8x8 pixels, one block of self-attention; the class token is learned."""
    images = keras.Input((32, 32, 3))
    x = layers.Reshape((16, 12))(layers.Conv2D(12, 8, 8, name="patches")(images))
    if class_token:
        token = layers.Embedding(1, 12, name="token")(layers.Flatten()(x)[:, :1] * 0)
        x = layers.Concatenate(axis=1)([token, x])
    x = layers.Add(name="block1")([x, layers.MultiHeadAttention(2, 6)(x, x)])
    return keras.Model(images, layers.LayerNormalization(name="last")(x))


def tokens():
    return attend(vision_transformer(class_token=False), ["block1"], 5, head="linear")


def tokens_with_a_class_token():
    return attend(vision_transformer(class_token=True), ["block1", "last"], 5, head="linear")


def preprocessing_before_a_nested_application():
    backbone = keras.Sequential([keras.Input((32, 32, 3)), mobilenet()])
    return attend(backbone, "auto", 5, preprocess=layers.Rescaling(1 / 127.5, offset=-1), head="linear")


def copied():
    return attend(convolutions(), ["early"], 5, copy=True, preprocess="DenseNet121", head="linear")


def keras_hub_resnet():
    hub = pytest.importorskip("keras_hub")
    sizes = {
        "stackwise_num_filters": [64, 8],
        "stackwise_num_blocks": [1, 1],
        "stackwise_num_strides": [1, 2],
    }
    stem = {"input_conv_filters": [64], "input_conv_kernel_sizes": [3]}
    return attend(
        hub.models.ResNetBackbone(**stem, **sizes, block_type="basic_block", image_shape=(32, 32, 3)),
        "auto",
        5,
        head="linear",
    )


def encoder_called_twice():
    """A tap in an encoder that the graph calls twice is of the later call."""
    encoder, images = convolutions(), keras.Input((32, 32, 3))
    encoder.name = "encoder"
    both = [encoder(layers.Rescaling(1 / 255)(images)), encoder(images)]
    return attend(keras.Model(images, layers.Concatenate()(both)), ["encoder/early"], 5, head="linear")


def g_for_each_tap():
    return attend(
        convolutions(),
        ["early", "late"],
        5,
        head=LinearHead(global_features={"early": "late", "late": "early"}),
    )


KINDS = {
    encoder_called_twice: {"early": (16, 16)},
    g_for_each_tap: {"early": (16, 16), "late": (8, 8)},
    keras_hub_resnet: {"stack0_block0_out": (8, 8), "stack1_block0_out": (4, 4)},
    functional: {"early": (16, 16), "late": (8, 8)},
    sequential_around_an_application: {MOBILENET_TAP: (2, 2), "out_relu": (1, 1)},
    two_levels_of_nesting: {"early": (16, 16)},
    several_outputs: {"early": (16, 16)},
    any_image_size: {"early": (16, 16), "late": (8, 8)},
    tokens: {"block1": (4, 4)},
    tokens_with_a_class_token: {"block1": (4, 4), "last": (4, 4)},
    preprocessing_before_a_nested_application: {"block_6_expand_relu": (4, 4), MOBILENET_TAP: (2, 2)},
    copied: {"early": (16, 16)},
}


def trained(make):
    model = make()
    before = keras.ops.convert_to_numpy(model.get_layer("classifier").kernel).copy()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert np.isfinite(model.train_on_batch(IMAGES, np.array([0, 1, 2, 4])))
    assert np.abs(keras.ops.convert_to_numpy(model.get_layer("classifier").kernel).copy() - before).max() > 0
    return model


def answers(model):
    return {name: np.asarray(value) for name, value in model(IMAGES, training=False).items()}


SLOW = (preprocessing_before_a_nested_application, sequential_around_an_application)


@pytest.mark.parametrize(
    "make",
    [pytest.param(make, marks=pytest.mark.slow) if make in SLOW else make for make in KINDS],
    ids=lambda make: make.__name__,
)
def test_trains_saves_and_loads(make, tmp_path):
    model = trained(make)
    expected = answers(model)
    assert set(expected) == {"logits", *(f"attention_{tap}" for tap in KINDS[make])}
    for tap, size in KINDS[make].items():
        attention = expected[f"attention_{tap}"]
        assert attention.shape == (4, *size)
        np.testing.assert_allclose(attention.sum((1, 2)), 1, atol=1e-5)
    model.save(tmp_path / "model.keras")
    for name, value in answers(keras.models.load_model(tmp_path / "model.keras")).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)


def test_a_tap_inside_is_the_application_s_own_output():
    """A map of one peak: attention on a nested layer reads what that layer says about the rescaled image."""
    application = mobilenet()
    images = keras.Input((32, 32, 3))
    backbone = keras.Model(images, application(layers.Rescaling(1 / 127.5, offset=-1)(images)))
    model = attend(backbone, [f"mobilenetv2/{MOBILENET_TAP}"], 5, head=LinearHead("dp", local_norm="none"))
    found = keras.Model(model.input, model.get_layer(f"pool_{MOBILENET_TAP}").input[0])(IMAGES)
    inner = keras.Model(application.input, application.get_layer(MOBILENET_TAP).output)
    np.testing.assert_allclose(found, inner(IMAGES / 127.5 - 1), atol=1e-4)


def test_another_size_of_image_gives_another_size_of_map():
    outputs = any_image_size()(RNG.uniform(0, 1, (2, 48, 64, 3)).astype("float32"))
    assert outputs["attention_early"].shape == (2, 24, 32) and outputs["attention_late"].shape == (2, 12, 16)


def test_the_class_token_is_g_and_no_place():
    backbone = vision_transformer(class_token=True)
    model = attend(backbone, ["last"], 5, head=LinearHead(local_norm="none"))
    g = keras.Model(model.input, model.get_layer("global_features").output)(IMAGES)
    places = keras.Model(model.input, model.get_layer("pool_last").input[0])(IMAGES)
    sequence = np.asarray(backbone(IMAGES))
    np.testing.assert_allclose(g, sequence[:, 0], atol=1e-6)
    np.testing.assert_allclose(places, sequence[:, 1:].reshape(4, 4, 4, 12), atol=1e-6)
