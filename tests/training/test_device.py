"""What a device takes: precision and XLA, on faked ones, and batch normalisation in one operation."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from attention_keras.models.zoo import build_model
from attention_keras.runs.config import RunConfig
from attention_keras.training import device
from attention_keras.training.device import fused_batch_norm
from attention_keras.training.network import compile_network, stages_of


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


def test_processors(tmp_path, monkeypatch, gpus):
    gpus()
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(device, "PROCESSOR", file)
    assert device.choose_precision() == "float32"  # not Linux
    for line, expected in (
        ("flags\t\t: fpu avx2 avx512f avx512_bf16\n", "mixed_bfloat16"),
        ("flags\t\t: fpu avx2 amx_bf16 amx_tile\n", "mixed_bfloat16"),
        ("Features\t: fp asimd bf16\n", "mixed_bfloat16"),
        ("flags\t\t: fpu avx2 avx512f\n", "float32"),
        ("model name: a processor with bf16 in its name\n", "float32"),
    ):
        file.write_text(f"processor\t: 0\n{line}")
        assert device.choose_precision() == expected, line


def test_gpus_and_one_operation_to_normalise_where_xla_is_off(gpus):
    for capabilities, precision, jit in (
        ([(9, 0), (7, 5)], "float32", "auto"),
        ([None], "float32", "auto"),
        ([None, (12, 0)], "float32", False),  # where XLA aborts
        ([(12, 1)], "mixed_bfloat16", False),
        ([(9, 0)], "mixed_bfloat16", "auto"),
    ):
        gpus(*capabilities)
        assert (device.choose_precision(), device.jit_compile()) == (precision, jit), capabilities
    config, model = RunConfig(precision="float32"), build_model("vgg", width=0.03)
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    for capabilities, xla in (([], False), ([(9, 0)], True), ([(12, 0)], False)):
        gpus(*capabilities)
        compile_network(model, config, stages_of(config)[0], np.zeros(64, int))
        with fused_batch_norm(model):
            fused = ["call" in vars(layer) for layer in norms]
        assert model.jit_compile == xla and fused == [not xla] * len(norms), capabilities


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
    for arguments, changes, shape, training, expected in (
        ({}, {}, (5, 4, 3), True, True),
        ({}, {}, (5, 4, 3), False, False),
        ({}, {"trainable": False}, (5, 4, 3), True, False),
        ({}, {"synchronized": True}, (5, 4, 3), True, False),
        ({"scale": False}, {}, (5, 4, 3), True, False),
        ({"axis": 1}, {}, (5, 4, 3), True, False),
        ({"renorm": True}, {}, (5, 4, 3), True, False),
        ({"dtype": "float64"}, {}, (5, 4, 3), True, False),
        ({}, {}, (3,), True, False),
    ):
        layer = layers.BatchNormalization(**arguments)
        model = keras.Sequential([keras.Input(shape, dtype=layer.compute_dtype), layer])
        for name, value in changes.items():
            setattr(layer, name, value)
        with fused_batch_norm(model):
            step = tf.function(lambda x, model=model, training=training: model(x, training=training))
            graph = step.get_concrete_function(tf.TensorSpec((2, *shape), layer.compute_dtype)).graph
            model.save(tmp_path / "model.keras")
        fused = "FusedBatchNormV3" in {operation.type for operation in graph.get_operations()}
        assert fused == expected, (arguments, changes, training)
        again = keras.models.load_model(tmp_path / "model.keras", compile=False)
        assert type(again.layers[-1]) is layers.BatchNormalization
