"""attend() on every kind of backbone: a step of training, a file, the same numbers from the file."""

import keras
import numpy as np
import pytest
from keras import layers
from small_backbones import arrays, convolutions, mobilenet, vision_transformer

from attention_keras import attend
from attention_keras.heads import LinearHead, PaperHead

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 255, (4, 32, 32, 3)).astype("float32")
TAP = "block_13_expand_relu"
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the same Keras code on every backend"
)


def attended(backbone, taps, head="linear", **options):
    return attend(backbone, taps, 5, head=head, **options)


def two_levels_of_nesting():
    images = keras.Input((32, 32, 3))
    inner = keras.Sequential([keras.Input((32, 32, 3)), convolutions()], name="inner")
    backbone = keras.Model(images, inner(layers.Rescaling(1 / 255)(images)))
    return attended(backbone, ["inner/convolutions/early"])


def several_outputs():
    backbone = convolutions()
    pooled = layers.GlobalMaxPooling2D(name="strongest")(backbone.output)
    backbone = keras.Model(backbone.inputs, [backbone.get_layer("early").output, pooled])
    return attended(backbone, ["early"], LinearHead(global_features="strongest"))


def any_image_size():
    return attended(convolutions((None, None, 3)), ["early", "late"])


def patches(images):
    return layers.Reshape((16, 12))(layers.Conv2D(12, 8, 8, name="patches")(images))


def tokens_with_a_class_token():
    return attended(vision_transformer((32, 32), patches, class_token=True), ["block", "last"])


def encoder_called_twice():
    """A tap in an encoder that the graph calls twice is of the later call."""
    encoder, images = convolutions(name="encoder"), keras.Input((32, 32, 3))
    both = [encoder(layers.Rescaling(1 / 255)(images)), encoder(images)]
    return attended(keras.Model(images, layers.Concatenate()(both)), ["encoder/early"])


def g_for_each_tap():
    head = LinearHead(global_features={"early": "late", "late": "early"})
    return attended(convolutions(), ["early", "late"], head)


BOTH = {"early": (16, 16), "late": (8, 8)}
KINDS = {
    encoder_called_twice: {"early": (16, 16)},
    g_for_each_tap: BOTH,
    two_levels_of_nesting: {"early": (16, 16)},
    several_outputs: {"early": (16, 16)},
    any_image_size: BOTH,
    tokens_with_a_class_token: {"block": (4, 4), "last": (4, 4)},
}


@on_tensorflow
@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_trains_saves_and_loads(make, tmp_path):
    model = make()
    before = model.get_layer("classifier").get_weights()[0].copy()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert np.isfinite(model.train_on_batch(IMAGES, np.array([0, 1, 2, 4])))
    assert np.abs(model.get_layer("classifier").get_weights()[0] - before).max() > 0
    expected = arrays(model(IMAGES))
    assert set(expected) == {"logits", *(f"attention_{tap}" for tap in KINDS[make])}
    for tap, size in KINDS[make].items():
        attention = expected[f"attention_{tap}"]
        assert attention.shape == (4, *size)
        np.testing.assert_allclose(attention.sum((1, 2)), 1, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for name, value in arrays(loaded(IMAGES)).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)
    if make is any_image_size:
        outputs = loaded(RNG.uniform(0, 1, (2, 48, 64, 3)).astype("float32"))
        assert outputs["attention_early"].shape == (2, 24, 32)


@on_tensorflow
def test_a_tap_inside_or_behind_preprocessing_is_the_application_s_own_output():
    """A map of one peak: attention on a nested layer reads what that layer says about the rescaled image."""
    application = mobilenet()
    images = keras.Input((32, 32, 3))
    backbone = keras.Model(images, application(layers.Rescaling(1 / 127.5, offset=-1)(images)))
    inner = keras.Model(application.input, application.get_layer(TAP).output)
    for model in (
        attended(backbone, [f"mobilenetv2/{TAP}"], LinearHead("dp", local_norm="none")),
        attended(application, [TAP], LinearHead("dp", local_norm="none"), preprocess="MobileNetV2"),
    ):
        found = keras.Model(model.input, model.get_layer(f"pool_{TAP}").input[0])(IMAGES)
        np.testing.assert_allclose(found, inner(IMAGES / 127.5 - 1), atol=1e-4)


@on_tensorflow
def test_the_class_token_is_g_and_no_place():
    backbone = vision_transformer((32, 32), patches, class_token=True)
    model = attended(backbone, ["last"], LinearHead(local_norm="none"))
    g = keras.Model(model.input, model.get_layer("global_features").output)(IMAGES)
    places = keras.Model(model.input, model.get_layer("pool_last").input[0])(IMAGES)
    sequence = np.asarray(backbone(IMAGES))
    np.testing.assert_allclose(g, sequence[:, 0], atol=1e-6)
    np.testing.assert_allclose(places, sequence[:, 1:].reshape(4, 4, 4, 12), atol=1e-6)


def test_widths_agree_by_a_projection_and_taps_and_g_may_be_tensors():
    for project, width in (("down", 6), ("up", 8)):
        model = attended(convolutions(), ["early"], PaperHead(project=project))
        assert model.get_layer("pool_early").output[0].shape == (None, width)
        assert model.get_layer("project_early").output.shape[-1] == width
    backbone = convolutions()
    g = layers.Dense(6, name="mine")(layers.GlobalMaxPooling2D()(backbone.output))
    taps = {"first": backbone.get_layer("early").output}
    model = attended(backbone, taps, LinearHead(global_features=g))
    assert list(model.output) == ["logits", "attention_first"]
    assert model.get_layer("global_features").output.shape == (None, 6)


def convolution(trainable=True):
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv")(images)
    backbone = keras.Model(images, layers.BatchNormalization(name="norm")(x))
    backbone.trainable = trainable
    return backbone


def moved_by_training(model, backbone):
    """Which weights of the backbone a step of training changes, statistics among them."""
    before = [weight.copy() for weight in backbone.get_weights()]
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(np.random.default_rng(1).uniform(-1, 1, (4, 8, 8, 3)), np.arange(4) % 3, verbose=0)
    return {bool(np.abs(a - b).max() > 0) for a, b in zip(before, backbone.get_weights())}


def test_the_backbone_s_own_layers_train_or_are_frozen_and_a_copy_leaves_it_as_it_is():
    backbone = convolution()
    model = attended(backbone, ["norm"])
    assert moved_by_training(model, backbone) == {True}
    backbone.trainable = False
    assert moved_by_training(model, backbone) == {False}
    assert moved_by_training(attended(backbone, ["norm"]), backbone) == {False}
    assert not backbone.trainable
    for trainable, preprocess in ((True, None), (False, None), (True, "ResNet50"), (False, "ResNet50")):
        backbone = convolution(trainable)
        model = attended(backbone, ["norm"], copy=True, preprocess=preprocess)
        copy = next(layer for layer in model._flatten_layers() if layer.name == "conv")
        kernel = copy.get_weights()[0].copy()
        np.testing.assert_array_equal(kernel, backbone.get_weights()[0])
        assert moved_by_training(model, backbone) == {False}
        assert bool(np.abs(copy.get_weights()[0] - kernel).max() > 0) == trainable
