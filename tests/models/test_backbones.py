"""attend() on every kind of backbone: a step of training, a file, the same numbers from the file."""

import keras
import numpy as np
import pytest
from keras import layers
from small_backbones import arrays, convolutions, mobilenet, vision_transformer

from attention_keras import attend
from attention_keras.heads import LinearHead

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 255, (4, 32, 32, 3)).astype("float32")
TAP = "block_13_expand_relu"
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="test_attend.py runs on every backend"
)


def attended(backbone, taps, head="linear", **options):
    return attend(backbone, taps, 5, head=head, **options)


def sequential_around_an_application():
    """Nothing but the application inside says how large the images are."""
    backbone = keras.Sequential([layers.Rescaling(1 / 127.5, offset=-1), mobilenet()])
    return attended(backbone, [f"mobilenetv2/{TAP}", "mobilenetv2/out_relu"])


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


def preprocessing_before_a_nested_application():
    backbone = keras.Sequential([keras.Input((32, 32, 3)), mobilenet()])
    return attended(backbone, "auto", preprocess=layers.Rescaling(1 / 127.5, offset=-1))


def keras_hub_resnet():
    hub = pytest.importorskip("keras_hub")
    stages = {"num_filters": [64, 8], "num_blocks": [1, 1], "num_strides": [1, 2]}
    stages = {f"stackwise_{name}": value for name, value in stages.items()}
    stages |= {"input_conv_filters": [64], "input_conv_kernel_sizes": [3], "block_type": "basic_block"}
    return attended(hub.models.ResNetBackbone(**stages, image_shape=(32, 32, 3)), "auto")


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
    keras_hub_resnet: {"stack0_block0_out": (8, 8), "stack1_block0_out": (4, 4)},
    sequential_around_an_application: {TAP: (2, 2), "out_relu": (1, 1)},
    two_levels_of_nesting: {"early": (16, 16)},
    several_outputs: {"early": (16, 16)},
    any_image_size: BOTH,
    tokens_with_a_class_token: {"block": (4, 4), "last": (4, 4)},
    preprocessing_before_a_nested_application: {"block_6_expand_relu": (4, 4), TAP: (2, 2)},
}
SLOW = (preprocessing_before_a_nested_application, sequential_around_an_application)


@pytest.mark.parametrize(
    "make",
    [pytest.param(make, marks=pytest.mark.slow) if make in SLOW else make for make in KINDS],
    ids=lambda make: make.__name__,
)
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


def test_a_tap_inside_is_the_application_s_own_output():
    """A map of one peak: attention on a nested layer reads what that layer says about the rescaled image."""
    application = mobilenet()
    images = keras.Input((32, 32, 3))
    backbone = keras.Model(images, application(layers.Rescaling(1 / 127.5, offset=-1)(images)))
    model = attended(backbone, [f"mobilenetv2/{TAP}"], LinearHead("dp", local_norm="none"))
    found = keras.Model(model.input, model.get_layer(f"pool_{TAP}").input[0])(IMAGES)
    inner = keras.Model(application.input, application.get_layer(TAP).output)
    np.testing.assert_allclose(found, inner(IMAGES / 127.5 - 1), atol=1e-4)


def test_the_class_token_is_g_and_no_place():
    backbone = vision_transformer((32, 32), patches, class_token=True)
    model = attended(backbone, ["last"], LinearHead(local_norm="none"))
    g = keras.Model(model.input, model.get_layer("global_features").output)(IMAGES)
    places = keras.Model(model.input, model.get_layer("pool_last").input[0])(IMAGES)
    sequence = np.asarray(backbone(IMAGES))
    np.testing.assert_allclose(g, sequence[:, 0], atol=1e-6)
    np.testing.assert_allclose(places, sequence[:, 1:].reshape(4, 4, 4, 12), atol=1e-6)
