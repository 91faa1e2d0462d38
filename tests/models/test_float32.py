"""A network of low precision, rebuilt in float32 with the same weights."""

import keras
import numpy as np
import pytest

from attention_keras import attend, build_model, evidence_model
from attention_keras.models.copies import in_float32, precision


def nested_backbone():
    """A model in a model, and a layer with a policy of its own."""
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="early")(images)
    inner = keras.Model(
        images, keras.layers.Conv2D(8, 3, strides=2, dtype="float16", name="late")(x), name="inner"
    )
    outer = keras.Input((16, 16, 3))
    x = inner(keras.layers.Rescaling(1 / 255, dtype="float32")(outer))
    return keras.Model(outer, keras.layers.Conv2D(8, 3, padding="same", name="last")(x))


def networks():
    yield build_model("vgg-att2-concat-pc", (16, 16, 3), num_classes=3, width=0.03)
    yield attend(nested_backbone(), ["inner/early", "inner/late", "last"], num_classes=3, head="linear")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_every_layer_computes_in_float32_and_has_the_weights(policy):
    images = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype("float32")
    keras.config.set_dtype_policy(policy)
    for model in networks():
        copy = in_float32(model)
        assert (type(copy), copy.name, precision(copy)) == (type(model), model.name, "float32")
        layers = copy._flatten_layers(include_self=False, recursive=True)
        assert {layer.dtype_policy.name for layer in layers} == {"float32"}
        assert keras.config.dtype_policy().name == policy
        for weight, theirs in zip(copy.weights, model.weights, strict=True):
            assert weight.path == theirs.path and weight.dtype == "float32"
            np.testing.assert_array_equal(weight, np.asarray(theirs, "float32"))
        outputs, theirs = copy(images), model(images)
        assert outputs.keys() == theirs.keys()
        for name, value in outputs.items():
            wanted = keras.ops.convert_to_numpy(theirs[name]).astype("float32")
            difference = np.abs(keras.ops.convert_to_numpy(value) - wanted).max()
            assert 0 < difference < 0.05 * np.abs(wanted).max(), name


def test_an_evidence_model_can_be_rebuilt():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = evidence_model(build_model("vgg-att1-dp", (16, 16, 3), num_classes=3, width=0.03))
    model.get_layer("classifier").bias.assign([1.0, 2.0, 6.0])
    rest = in_float32(model)(np.zeros((1, 16, 16, 3), "float32"))["evidence_rest"]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(rest), [[-2.0, -1.0, 3.0]], atol=1e-6)


def test_float32_is_left_as_it_is():
    keras.config.set_dtype_policy("float32")
    model = build_model("vgg-att1-dp", (16, 16, 3), num_classes=3, width=0.03)
    assert in_float32(model) is model and precision(model) == "float32"
