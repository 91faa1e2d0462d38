"""The fused batch normalisation computes what Keras's does, and stands in only where it can."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from attention_keras.training.device import fused_batch_norm


def images(count=6, dtype="float32"):
    rng = np.random.default_rng(0)
    return tf.constant(3 + 2 * rng.normal(size=(count, 5, 4, 7)).astype("float32"), dtype)


def alone(layer, shape):
    """A model of this layer and no other."""
    inputs = keras.Input(shape[1:], dtype=layer.compute_dtype)
    return keras.Model(inputs, layer(inputs))


def trained_once(fused, inputs, policy):
    """Outputs, moving statistics and gradients of a training step, as float32 arrays."""
    layer = keras.layers.BatchNormalization(epsilon=1e-3, momentum=0.9, dtype=policy)
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


def test_it_stands_in_where_it_can_and_no_file_knows(tmp_path):
    for arguments, changes, inputs, training, expected in (
        ({}, {}, images(), True, True),
        ({}, {}, images(), False, False),
        ({}, {"trainable": False}, images(), True, False),
        ({}, {"synchronized": True}, images(), True, False),
        ({"scale": False}, {}, images(), True, False),
        ({"axis": 1}, {}, images(), True, False),
        ({"renorm": True}, {}, images(), True, False),
        ({"dtype": "float64"}, {}, images(dtype="float64"), True, False),
        ({}, {}, images()[:, 0, 0], True, False),
    ):
        layer = keras.layers.BatchNormalization(**arguments)
        model = alone(layer, inputs.shape)
        for name, value in changes.items():
            setattr(layer, name, value)
        with fused_batch_norm(model):
            step = tf.function(lambda x, model=model, training=training: model(x, training=training))
            operations = step.get_concrete_function(inputs).graph.get_operations()
            model.save(tmp_path / "model.keras")
        fused = "FusedBatchNormV3" in {operation.type for operation in operations}
        assert fused == expected, (arguments, changes, training)
        again = keras.models.load_model(tmp_path / "model.keras", compile=False)
        assert type(again.layers[-1]) is keras.layers.BatchNormalization
