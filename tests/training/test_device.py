"""What a device takes: precision and XLA, on faked ones, and batch normalisation in one operation."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from attention_keras.training import device
from attention_keras.training.device import fused_batch_norm


@pytest.fixture
def gpus(monkeypatch):
    """Make TensorFlow say that it has GPUs of these capabilities; None does not tell."""

    def fake(*capabilities):
        found = {tf.config.PhysicalDevice(f"/gpu:{n}", "GPU"): c for n, c in enumerate(capabilities)}
        cpu = tf.config.PhysicalDevice("/physical_device:CPU:0", "CPU")
        kinds = {"CPU": [cpu], "GPU": list(found), None: [cpu, *found]}
        details = {gpu: {"compute_capability": c} if c else {} for gpu, c in found.items()}
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: kinds[kind])
        monkeypatch.setattr(tf.config.experimental, "get_device_details", details.__getitem__)

    return fake


def test_precision_and_xla(tmp_path, monkeypatch, gpus):
    gpus()
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(device, "PROCESSOR", file)
    assert device.choose_precision() == "float32"  # not Linux
    for line, expected in (
        ("flags\t\t: fpu avx2 avx512f avx512_bf16\n", "mixed_bfloat16"),
        ("Features\t: fp asimd bf16\n", "mixed_bfloat16"),
        ("flags\t\t: fpu avx2 avx512f\nmodel name: a processor with bf16 in its name\n", "float32"),
    ):
        file.write_text(f"processor\t: 0\n{line}")
        assert device.choose_precision() == expected, line
    for capabilities, precision, jit in (
        ([(9, 0), (7, 5)], "float32", "auto"),
        ([None, (12, 0)], "float32", False),  # where XLA aborts
        ([(12, 1)], "mixed_bfloat16", False),
        ([(9, 0)], "mixed_bfloat16", "auto"),
    ):
        gpus(*capabilities)
        assert (device.choose_precision(), device.jit_compile()) == (precision, jit), capabilities


IMAGES = np.random.default_rng(0).normal(3, 2, (12, 5, 4, 3)).astype("float32")


def trained(fused, batch):
    """The weights and moving statistics of a network with a batch normalisation in the middle."""
    keras.utils.set_random_seed(0)
    norm = layers.BatchNormalization(momentum=0.9, gamma_initializer="uniform", beta_initializer="uniform")
    model = keras.Sequential(
        [keras.Input((5, 4, 3)), layers.Conv2D(7, 1, use_bias=False), norm, layers.Flatten()]
    )
    model.compile(keras.optimizers.SGD(0.1), lambda y, x: keras.ops.mean(keras.ops.sin(x), -1))
    with fused_batch_norm(model) if fused else contextlib.nullcontext():
        model.fit(IMAGES, IMAGES[:, 0, 0], batch_size=batch, shuffle=False, verbose=0)
    return model.get_weights()


def test_training_is_that_of_keras():
    for policy, tolerance in (("float32", 2e-5), ("mixed_bfloat16", 2e-2)):
        keras.config.set_dtype_policy(policy)
        for batch in (1, 6):
            for one, other in zip(trained(True, batch), trained(False, batch), strict=True):
                np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * np.abs(other).max())


def test_it_stands_in_where_it_can_and_no_file_knows(tmp_path):
    for arguments, training, expected in (
        ({}, True, True),
        ({}, False, False),
        ({"trainable": False}, True, False),
        ({"synchronized": True}, True, False),
        ({"scale": False}, True, False),
        ({"axis": 1}, True, False),
        ({"renorm": True}, True, False),
        ({"dtype": "float64"}, True, False),
    ):
        layer = layers.BatchNormalization(**arguments)
        model = keras.Sequential([keras.Input((5, 4, 3), dtype=layer.compute_dtype), layer])
        with fused_batch_norm(model):
            step = tf.function(lambda x, model=model, training=training: model(x, training=training))
            graph = step.get_concrete_function(tf.TensorSpec((2, 5, 4, 3), layer.compute_dtype)).graph
            model.save(tmp_path / "model.keras")
        fused = "FusedBatchNormV3" in {operation.type for operation in graph.get_operations()}
        assert fused == expected, (arguments, training)
        again = keras.models.load_model(tmp_path / "model.keras", compile=False)
        assert type(again.layers[-1]) is layers.BatchNormalization
