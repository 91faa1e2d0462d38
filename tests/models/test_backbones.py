"""attend() on every kind of backbone: a step of training, a file, which layers are tapped, and their maps."""

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
    return layers.Reshape((-1, 12))(layers.Conv2D(12, 8, 8)(images))


def tokens_with_a_class_token():
    return attended(vision_transformer((32, 32), patches, class_token=True), ["block", "last"])


def g_for_each_tap():
    head = LinearHead(global_features={"early": "late", "late": "early"})
    return attended(convolutions(), ["early", "late"], head)


BOTH = {"early": (16, 16), "late": (8, 8)}
KINDS = {
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
    for trainable, preprocess in ((True, None), (False, None), (True, "ResNet50"), (False, "ResNet50")):
        backbone = convolution(trainable)
        model = attended(backbone, ["norm"], copy=True, preprocess=preprocess)
        copy = next(layer for layer in model._flatten_layers() if layer.name == "conv")
        kernel = copy.get_weights()[0].copy()
        np.testing.assert_array_equal(kernel, backbone.get_weights()[0])
        assert moved_by_training(model, backbone) == {False}
        assert bool(np.abs(copy.get_weights()[0] - kernel).max() > 0) == trainable
        assert moved_by_training(attended(backbone, ["norm"]), backbone) == {trainable}


def attention_of(model):
    return {name.removeprefix("attention_"): x.shape[1:] for name, x in model.output.items() if "att" in name}


@on_tensorflow
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


@on_tensorflow
def test_tokens_make_the_map_of_their_patches_or_of_the_shape_of_the_images():
    """36 tokens of images of 32x72 pixels are 4x9 places, and no 6x6."""
    images, inner = keras.Input((32, 72, 3)), keras.Input((4, 9, 6))
    model_of_tokens = keras.Model(inner, layers.Reshape((36, 6))(inner))
    tokens = model_of_tokens(layers.Conv2D(6, 1)(layers.AveragePooling2D(8)(images)))
    encoder = vision_transformer((32, 72), patches)
    # By the shape of the images alone: a table of 32 tokens for images twice as wide as high.
    by_shape = vision_transformer((16, 32), lambda images: layers.Reshape((32, 48))(images))
    for backbone, taps, size in (
        (encoder, ["block"], (4, 9)),
        (vision_transformer((32, 72), patches, class_token=True), ["block"], (4, 9)),
        (vision_transformer((32, 72), patches, class_token=True), "auto", (4, 9)),
        (keras.Model(images, layers.LayerNormalization(name="last")(tokens)), ["last"], (4, 9)),
        (keras.Sequential([keras.Input((32, 72, 3)), encoder]), [f"{encoder.name}/last"], (4, 9)),
        (by_shape, ["last"], (4, 8)),
    ):
        assert list(attention_of(attend(backbone, taps, 5)).values()) == [size]


@on_tensorflow
def test_automatic_taps_in_models_of_models():
    images = keras.Input((96, 96, 3))
    application = mobilenet(input_shape=(96, 96, 3))
    last = keras.Sequential([layers.Conv2D(4, 1, name="inner")], name="last")
    before = layers.Conv2D(6, 3, 8, name="before")(images)
    for backbone, taps in (
        (application, [TAP, "out_relu"]),
        (keras.Sequential([layers.Rescaling(1 / 127.5, offset=-1), application]), [TAP, "out_relu"]),
        (keras.Model(images, application(layers.RandomFlip()(images) / 127.5 - 1)), [TAP, "out_relu"]),
        (keras.Model(images, last(layers.AveragePooling2D(2, name="half")(before))), ["before", "inner"]),
    ):
        model = attend(backbone, num_classes=5, head="linear")
        assert list(attention_of(model)) == taps
        model(IMAGES[:1].repeat(3, axis=1).repeat(3, axis=2))
