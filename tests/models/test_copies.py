"""The same network again: copies, in float32, for larger images, and weights that move by name."""

import keras
import numpy as np
import pytest
from keras import layers
from small_backbones import arrays

from attention_keras import attend, build_model, evidence_model
from attention_keras.errors import UserError
from attention_keras.models.copies import (
    copy_model,
    for_image_size,
    in_float32,
    precision,
    transfer_weights,
)

PIXELS = np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3)).astype("float32")
SHAPE = (16, 16, 3)


def adapted(pixels=PIXELS):
    """A backbone that normalises pixels by their statistics, and its own part of that in a nested model."""
    normalization = layers.Normalization(name="norm")
    normalization.adapt(pixels)
    inner, images = keras.Input(SHAPE), keras.Input(SHAPE)
    inner = keras.Model(inner, normalization(inner), name="inner")
    return keras.Model(images, layers.Conv2D(6, 3, name="early")(inner(images)))


def attended(pixels=PIXELS, **options):
    return attend(adapted(pixels), ["early"], 4, **options)


def test_a_normalization_computes_with_the_statistics_that_it_was_given():
    keras.config.set_dtype_policy("mixed_bfloat16")
    low = attended()
    keras.config.set_dtype_policy("float32")
    transferred = attended(PIXELS / 255)
    transfer_weights(attended(), transferred)
    expected = (PIXELS - PIXELS.mean((0, 1, 2))) / PIXELS.std((0, 1, 2))
    for model in (copy_model(adapted()), attended(copy=True), in_float32(low), transferred):
        found = keras.ops.convert_to_numpy(model.get_layer("inner")(PIXELS)).astype("float32")
        np.testing.assert_allclose(found, expected, atol=1e-3)


def nested_backbone():
    """A model in a model, and a layer with a policy of its own."""
    images, outer = keras.Input(SHAPE), keras.Input(SHAPE)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="early")(images)
    x = layers.Conv2D(8, 3, strides=2, dtype="float16", name="late")(x)
    x = keras.Model(images, x, name="inner")(layers.Rescaling(1 / 255, dtype="float32")(outer))
    return keras.Model(outer, layers.Conv2D(8, 3, padding="same", name="last")(x))


def test_every_layer_computes_in_float32_and_has_the_weights():
    for policy in ("mixed_bfloat16", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        for model in (
            build_model("vgg-att2-concat-pc", SHAPE, num_classes=3, width=0.03),
            attend(nested_backbone(), ["inner/early", "inner/late", "last"], num_classes=3, head="linear"),
            evidence_model(build_model("vgg-att1-dp", SHAPE, num_classes=3, width=0.03)),
        ):
            copy = in_float32(model)
            assert (type(copy), copy.name, precision(copy)) == (type(model), model.name, "float32")
            parts = copy._flatten_layers(include_self=False, recursive=True)
            assert {layer.dtype_policy.name for layer in parts} == {"float32"}
            assert keras.config.dtype_policy().name == policy and in_float32(copy) is copy
            theirs = {weight.path: weight for weight in copy.weights}
            assert {weight.dtype for weight in theirs.values()} == {"float32"}
            for weight in model.weights:
                np.testing.assert_array_equal(theirs[weight.path], np.asarray(weight, "float32"))
            outputs, theirs = arrays(copy(PIXELS)), arrays(model(PIXELS))
            assert outputs.keys() == theirs.keys()
            for name, value in outputs.items():
                wanted = theirs[name].astype("float32")
                assert np.abs(value - wanted).max() < 0.05 * np.abs(wanted).max() + 1e-3, name


def test_for_larger_images_places_far_from_the_border_say_the_same():
    images, inner = keras.Input(SHAPE), keras.Input(SHAPE)
    inner = keras.Model(inner, layers.Conv2D(4, 3, padding="same")(inner), name="inner")
    x = inner(layers.Normalization(mean=[1.0, 2, 3], variance=[4.0, 5, 6])(images))
    x = layers.DepthwiseConv2D(3, strides=2, padding="same")(layers.BatchNormalization()(x))
    backbone = keras.Model(images, x)
    for weight in backbone.get_layer("inner").weights:
        weight.assign(np.random.default_rng(0).uniform(-1, 1, weight.shape))
    larger = for_image_size(backbone, (32, 24))
    assert larger.output.shape == (None, 16, 12, 4)
    pixels = np.random.default_rng(1).uniform(0, 255, (2, 32, 24, 3)).astype("float32")
    found, expected = larger.predict(pixels, verbose=0), backbone.predict(pixels[:, :16, :16], verbose=0)
    np.testing.assert_allclose(found[:, 1:7, 1:7], expected[:, 1:7, 1:7], rtol=1e-4, atol=1e-3)
    flat = keras.Model(images, layers.Dense(2)(layers.Flatten()(images)), name="flat")
    with pytest.raises(UserError, match=r"flat cannot take images of 32x32: only a convolutional"):
        for_image_size(flat, (32, 32))


def test_weights_move_by_name_all_but_the_classifier():
    source = build_model("vgg-att2-concat-pc", num_classes=100, width=0.1)
    target = build_model("vgg-att2-concat-pc", (80, 80, 3), 200, width=0.1)
    kept = copy_model(target).get_layer("classifier")
    transfer_weights(source, target)
    for layer in (layer for layer in target.layers if layer.weights):
        wanted = kept if layer.name == "classifier" else source.get_layer(layer.name)
        for one, other in zip(layer.get_weights(), wanted.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(UserError, match="conv1_conv do not fit"):
        transfer_weights(source, build_model("vgg-att2-concat-pc", width=0.2))
