"""The fused batch normalisation computes what Keras's does, and stands in only where it can."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from attention_keras import build_model
from attention_keras.training.device import fused_batch_norm

ARGUMENTS = {"epsilon": 1e-3, "momentum": 0.9}


def images(count=6, dtype="float32"):
    rng = np.random.default_rng(0)
    return tf.constant(3 + 2 * rng.normal(size=(count, 5, 4, 7)).astype("float32"), dtype)


def alone(layer, shape):
    """A model of this layer and no other."""
    inputs = keras.Input(shape[1:], dtype=layer.compute_dtype)
    return keras.Model(inputs, layer(inputs))


def trained_once(fused, inputs, policy):
    """Outputs, moving statistics and gradients of a training step, as float32 arrays."""
    layer = keras.layers.BatchNormalization(**ARGUMENTS, dtype=policy)
    model = alone(layer, inputs.shape)
    rng = np.random.default_rng(1)
    layer.gamma.assign(rng.uniform(0.5, 2, 7))
    layer.beta.assign(rng.normal(size=7))
    weights = tf.constant(rng.normal(size=inputs.shape), "float32")
    with fused_batch_norm(model) if fused else contextlib.nullcontext(), tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = model(inputs, training=True)
        loss = tf.reduce_sum(weights * tf.cast(outputs, "float32"))
    gradients = tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value])
    found = [outputs, layer.moving_mean, layer.moving_variance, *gradients]
    return [np.asarray(tf.cast(f, "float32")) for f in found]


def test_a_training_step_is_that_of_keras():
    for policy, dtype, tolerance in (("float32", "float32", 2e-5), ("mixed_bfloat16", "bfloat16", 2e-2)):
        for count in (1, 6):
            ours, keras_own = (trained_once(fused, images(count, dtype), policy) for fused in (True, False))
            for one, other in zip(ours, keras_own, strict=True):
                np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * np.abs(other).max())


def test_the_moving_variance_has_n_below_and_not_n_less_one():
    few = images(1)[:, :2, :1]  # two positions: the two variances differ by a factor of two
    layer = keras.layers.BatchNormalization(momentum=0.0)
    model = alone(layer, few.shape)
    with fused_batch_norm(model):
        model(few, training=True)
    np.testing.assert_allclose(layer.moving_variance, np.var(few, axis=(0, 1, 2)), rtol=1e-5)


def operations(model, inputs, training=True):
    graph = tf.function(lambda x: model(x, training=training)).get_concrete_function(inputs).graph
    return {operation.type for operation in graph.get_operations()}


def test_keras_does_the_rest():
    for arguments, changes, inputs in (
        ({}, {"trainable": False}, images()),
        ({}, {"synchronized": True}, images()),
        ({"scale": False}, {}, images()),
        ({"axis": 1}, {}, images()),
        ({"renorm": True}, {}, images()),
        ({"dtype": "float64"}, {}, images(dtype="float64")),
        ({}, {}, images()[:, 0, 0]),
    ):
        layer = keras.layers.BatchNormalization(**arguments)
        model = alone(layer, inputs.shape)
        for name, value in changes.items():
            setattr(layer, name, value)
        with fused_batch_norm(model):
            assert "FusedBatchNormV3" not in operations(model, inputs), (arguments, changes)


def test_a_file_written_inside_holds_plain_layers(tmp_path):
    model = build_model("vgg", (32, 32, 3), width=0.03)
    with fused_batch_norm(model):
        assert "FusedBatchNormV3" in operations(model, tf.zeros((2, 32, 32, 3)))
        assert "FusedBatchNormV3" not in operations(model, tf.zeros((2, 32, 32, 3)), training=False)
        model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again.get_layer("conv1_norm")) is keras.layers.BatchNormalization
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(model(pixels)["logits"], again(pixels)["logits"])
