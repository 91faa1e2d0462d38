"""XLA is used where TensorFlow can; where it is off, batch norm is one operation. Devices are faked."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from attention_keras.models.zoo import build_model
from attention_keras.runs.config import RunConfig
from attention_keras.training.batch_norm import fused_batch_norm
from attention_keras.training.network import compile_network
from attention_keras.training.stages import stages_of
from attention_keras.training.strategy import build_strategy, scope

CPU = tf.config.PhysicalDevice("/physical_device:CPU:0", "CPU")
HOPPER = {"device_name": "H100", "compute_capability": (9, 0)}
BLACKWELL = {"device_name": "RTX 5090", "compute_capability": (12, 0)}
UNTOLD = {"device_name": "another maker's"}


@pytest.fixture
def devices(monkeypatch):
    """Make TensorFlow say that it has these GPUs, each given by its details."""

    def fake(*gpus):
        found = {tf.config.PhysicalDevice(f"/physical_device:GPU:{n}", "GPU"): g for n, g in enumerate(gpus)}
        kinds = {"CPU": [CPU], "GPU": list(found), None: [CPU, *found]}
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: kinds[kind])
        monkeypatch.setattr(tf.config.experimental, "get_device_details", found.__getitem__)

    return fake


def compiled(strategy=None):
    """A network of the zoo, compiled as a run does it."""
    config = RunConfig(precision="float32")
    with scope(strategy):
        model = build_model("vgg", width=0.03)
        compile_network(model, config, stages_of(config)[0], np.zeros(64, int))
    return model


def norm_operations(model):
    """Operations of a training pass that normalise in one go."""
    with fused_batch_norm(model):
        step = tf.function(lambda x: model(x, training=True)["logits"], autograph=False)
        graph = step.get_concrete_function(tf.TensorSpec((2, 32, 32, 3))).graph
    return sum(operation.type == "FusedBatchNormV3" for operation in graph.get_operations())


@pytest.mark.parametrize(
    ("gpus", "xla"), [([], False), ([HOPPER], True), ([UNTOLD], True), ([UNTOLD, BLACKWELL], False)]
)
def test_the_trainers_network_normalises_in_one_operation_where_xla_is_off(gpus, xla, devices):
    devices(*gpus)
    model = compiled()
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    maps = sum(len(layer.output.shape) == 4 for layer in norms)
    assert maps > 10
    assert model.jit_compile == xla
    assert norm_operations(model) == (0 if xla else maps)


def test_under_a_strategy_xla_is_off_whatever_the_gpus(devices):
    strategy = build_strategy("mirrored")  # before TensorFlow has GPUs that are none
    devices(HOPPER)
    assert not compiled(strategy).jit_compile
