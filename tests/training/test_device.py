"""What `auto` is on a device, the same way every time: precision and XLA. Devices are faked."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from attention_keras.models.zoo import build_model
from attention_keras.runs.config import RunConfig
from attention_keras.training import device
from attention_keras.training.device import fused_batch_norm
from attention_keras.training.network import compile_network, stages_of

CPU = tf.config.PhysicalDevice("/physical_device:CPU:0", "CPU")


@pytest.fixture
def gpus(monkeypatch):
    """Make TensorFlow say that it has GPUs of these capabilities; None does not tell."""

    def fake(*capabilities):
        found = {tf.config.PhysicalDevice(f"/gpu:{n}", "GPU"): c for n, c in enumerate(capabilities)}
        kinds = {"CPU": [CPU], "GPU": list(found), None: [CPU, *found]}
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
    for capabilities, xla in (([], False), ([(9, 0)], True), ([(12, 0)], False)):
        gpus(*capabilities)
        config, model = RunConfig(precision="float32"), build_model("vgg", width=0.03)
        compile_network(model, config, stages_of(config)[0], np.zeros(64, int))
        assert model.jit_compile == xla, capabilities
        with fused_batch_norm(model):
            step = tf.function(lambda x, model=model: model(x, training=True)["logits"], autograph=False)
            graph = step.get_concrete_function(tf.TensorSpec((2, 32, 32, 3))).graph
        norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        maps = sum(len(layer.output.shape) == 4 for layer in norms)
        fused = sum(operation.type == "FusedBatchNormV3" for operation in graph.get_operations())
        assert fused == (0 if xla else maps) and maps > 10, capabilities
