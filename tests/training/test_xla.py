"""XLA is used where TensorFlow can; where it is off, batch norm is one operation. Devices are faked."""

import keras
import pytest
import tensorflow as tf

from attention_keras.models.zoo import build_model
from attention_keras.runs.directory import Run
from attention_keras.runs.options import TrainOptions
from attention_keras.training.batch_norm import fused_batch_norm
from attention_keras.training.network import compile_network
from attention_keras.training.session import Session
from attention_keras.training.stages import stages_of
from attention_keras.training.strategy import build_strategy, scope
from attention_keras.training.xla import about_xla, jit_compile

CPU = tf.config.PhysicalDevice("/physical_device:CPU:0", "CPU")
HOPPER = {"device_name": "H100", "compute_capability": (9, 0)}
BLACKWELL = {"device_name": "RTX 5090", "compute_capability": (12, 0)}
LATER = {"device_name": "RTX 6090", "compute_capability": (12, 1)}
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


@pytest.mark.parametrize(
    ("gpus", "auto"),
    [
        ([], "auto"),
        ([HOPPER], "auto"),
        ([UNTOLD], "auto"),
        ([{}], "auto"),
        ([BLACKWELL], False),
        ([LATER], False),
        ([HOPPER, BLACKWELL], False),
        ([BLACKWELL, UNTOLD], False),
        ([HOPPER, UNTOLD], "auto"),
    ],
)
def test_auto_leaves_xla_out_where_it_aborts(gpus, auto, devices):
    devices(*gpus)
    assert jit_compile("auto") == auto
    assert (jit_compile("on"), jit_compile("off")) == (True, False)


def test_what_a_person_is_told(devices):
    for harmless in ([], [HOPPER], [UNTOLD, {}]):
        devices(*harmless)
        assert about_xla("auto") is None and about_xla("on") is None
    devices(HOPPER, BLACKWELL)
    where = "TensorFlow 2.21 aborts in XLA on GPUs of compute capability 12 (RTX 5090)"
    assert about_xla("auto") == f"xla       off: {where}"
    assert about_xla("on") == f"WARNING   {where}; if this run ends so, give --jit off"
    assert about_xla("off") is None
    devices({"compute_capability": (12, 0)})
    assert "(GPU)" in about_xla("auto")


def compiled(strategy=None, **flags):
    """A network of the zoo, compiled as a run does it."""
    options = TrainOptions.of(precision="float32", **flags)
    config = options.resolve()
    labels = keras.ops.convert_to_numpy(keras.ops.zeros(64, "int32"))
    with scope(strategy):
        model = build_model("vgg", width=0.03)
        compile_network(model, config, options.machine, stages_of(config.recipe)[0], labels)
    return model


def norm_operations(model):
    """Operations of a training pass that normalise in one go."""
    with fused_batch_norm(model):
        step = tf.function(lambda x: model(x, training=True)["logits"], autograph=False)
        graph = step.get_concrete_function(tf.TensorSpec((2, 32, 32, 3))).graph
    return sum(operation.type == "FusedBatchNormV3" for operation in graph.get_operations())


@pytest.mark.parametrize(
    ("gpus", "jit", "xla"),
    [
        ([], "auto", False),
        ([HOPPER], "auto", True),
        ([HOPPER], "on", True),
        ([HOPPER], "off", False),
        ([BLACKWELL], "auto", False),
        ([UNTOLD, BLACKWELL], "auto", False),
        ([UNTOLD], "auto", True),
    ],
)
def test_the_trainers_network_normalises_in_one_operation_where_xla_is_off(gpus, jit, xla, devices):
    devices(*gpus)
    model = compiled(jit=jit)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    maps = sum(len(layer.output.shape) == 4 for layer in norms)
    assert maps > 10
    assert model.jit_compile == xla
    assert norm_operations(model) == (0 if xla else maps)


def test_under_a_strategy_xla_is_off_whatever_the_gpus(devices):
    strategy = build_strategy("mirrored")  # before TensorFlow has GPUs that are none
    devices(HOPPER)
    assert not compiled(strategy).jit_compile


def test_a_run_says_so_once(devices, tmp_path, monkeypatch):
    devices(BLACKWELL)
    options = TrainOptions.of(
        limit=20, width=0.03, precision="float32", run_dir=str(tmp_path), strategy="none"
    )
    said = []
    run = Run(options.run_path)
    Session.prepare(options.resolve(), options.machine, run, None, said.append)
    assert [line for line in said if "XLA" in line] == [about_xla("auto")]
