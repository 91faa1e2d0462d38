"""Every network of the paper: parameters and maps as in the official code; training; files."""

import json

import keras
import numpy as np
import pytest

from attention_keras.errors import UserError
from attention_keras.models.parts import prune_dead_branch
from attention_keras.models.spec import ModelSpec
from attention_keras.models.zoo import build_model, list_models


def test_map_sizes():
    two = {"conv10": 16, "conv13": 8}
    for name, size, maps in (
        ("vgg-att1-pc", 32, {"conv13": 8}),
        ("vgg-att3-concat-pc", 80, {"conv7": 32, **two}),
        ("vgg-pan", 80, two),
        ("vgg-att2-concat-pc", 64, two),
    ):
        output = build_model(name, (size, size, 3), width=0.03).output
        assert {f"attention_{tap}": side for tap, side in maps.items()} == {
            key: tensor.shape[1] for key, tensor in output.items() if "attention" in key
        }


def dropout_rates(model):
    return [(layer.name, layer.rate) for layer in model.layers if isinstance(layer, keras.layers.Dropout)]


def test_dropout_is_the_official_one():
    rates = dict(dropout_rates(build_model("vgg-att2-concat-pc", width=0.03)))
    convs = {1: 0.3, 3: 0.4, 5: 0.4, 6: 0.4, 8: 0.4, 9: 0.4, 11: 0.4, 12: 0.4, 14: 0.4, 15: 0.4}
    expected = {f"conv{i}_dropout": rate for i, rate in convs.items()}
    expected |= {"global_dropout": 0.5, "head_conv10_dropout": 0.5, "head_conv13_dropout": 0.5}
    assert rates == expected
    assert dropout_rates(build_model("vgg-att2-concat-pc", width=0.03, dropout=False)) == []


def test_batch_norm_constants():
    layers = build_model("vgg-att2-concat-pc", width=0.03).layers
    epsilon = {x.name: x.epsilon for x in layers if isinstance(x, keras.layers.BatchNormalization)}
    assert epsilon["conv10_norm"] == 1e-3
    assert epsilon["head_conv10_norm"] == 1e-5
    assert {x.momentum for x in layers if isinstance(x, keras.layers.BatchNormalization)} == {0.9}


def test_torch_initial_weights():
    model = build_model("vgg-att2-concat-pc", num_classes=100)
    kernel = np.asarray(model.get_layer("conv9_conv").kernel)
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 512)), rel=0.01)
    dense = model.get_layer("global_features")
    bound = 1 / np.sqrt(512)
    for values in (np.asarray(dense.kernel), np.asarray(dense.bias)):
        assert np.abs(values).max() <= bound
        assert values.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
    gamma = np.asarray(model.get_layer("conv9_norm").gamma)
    assert gamma.min() >= 0 and gamma.max() <= 1 and gamma.mean() == pytest.approx(0.5, abs=0.06)


def test_names_and_specs_are_inverses():
    for name in list_models():
        assert ModelSpec.parse(name).name == name
    for name in (
        "vgg-att2-concat-pc-sigmoid",
        "rn164-att3-indep-additive",
        "vgg-att3-indep-dp-sigmoid-lup-3g",
        "vgg-att3-indep-linear-dp-sigmoid-lup",
        "rn164-att2-linear-pc",
    ):
        assert ModelSpec.parse(name).name == name
    assert ModelSpec.parse("vgg-att2-concat-pc").replace(head="linear").name == "vgg-att2-linear-pc"


def test_wrong_names_and_sizes():
    for name, said in (
        ("vgg-att4-pc", "unknown model 'vgg-att4-pc'"),
        ("vgg-att2-pc", "concat or indep"),
        ("vgg-att2-concat-pc-3g", "-3g needs att3"),
        ("resnet", "unknown model"),
    ):
        with pytest.raises(UserError, match=said):
            build_model(name)
    with pytest.raises(UserError, match="multiples of 16; got 40x50"):
        build_model("vgg", (50, 40, 3))


def small(name, policy="float32"):
    keras.config.set_dtype_policy(policy)
    return build_model(name, num_classes=3, width=0.03)


RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 255, (4, 32, 32, 3)).astype("float32")
# One step is sooner taken than traced; JAX compiles it at once sooner than operation by operation.
EAGERLY = keras.backend.backend() != "jax"
TARGETS = np.eye(3, dtype="float32")[[0, 1, 2, 1]]
# Three resnets stand for all: their heads are those of VGG, and 164 layers are slow to build.
RESNETS = ("rn164", "rn164-att2-concat-pc", "rn164-att2-indep-scaled")
ZOO = [name for name in list_models() if name in RESNETS or not name.startswith("rn164")]


def tensors(model):
    """Outputs by name, without a graph that is used once."""
    return model(IMAGES) if EAGERLY else model.predict_on_batch(IMAGES)


def answers(model):
    """Outputs by name, as arrays."""
    return {name: keras.ops.convert_to_numpy(value) for name, value in tensors(model).items()}


def train_a_step(name, policy):
    model = small(name, policy)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"], run_eagerly=EAGERLY)
    before = [np.array(w) for w in model.get_weights()]
    assert np.isfinite(model.train_on_batch(IMAGES, TARGETS)[0])
    assert sum(np.abs(a - b).max() > 0 for a, b in zip(before, model.get_weights())) > len(before) // 2
    # Of the tensors: of PyTorch's bfloat16, arrays are float32.
    for key, value in tensors(model).items():
        assert keras.backend.standardize_dtype(value.dtype) == "float32", key


EXTRA = ["vgg-att2-concat-pc-sigmoid", "vgg-att2-concat-additive", "vgg-att3-indep-dp-sigmoid-lup-3g"]
FEW = ["vgg-att2-concat-pc", "vgg-att2-linear-scaled", "vgg-att3-indep-dp-sigmoid-lup-3g"]


@pytest.mark.parametrize("name", FEW)
def test_a_step_of_training_in_bfloat16(name):
    train_a_step(name, "mixed_bfloat16")


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", [*ZOO, *EXTRA])
def test_a_step_of_training(name, policy):
    train_a_step(name, policy)


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_maps_sum_to_one_and_the_pruned_network_gives_them_too(name):
    model = small(name)
    outputs = answers(model)
    pruned = answers(prune_dead_branch(model))
    assert set(pruned) == set(outputs)
    for key, value in outputs.items():
        np.testing.assert_allclose(value, pruned[key], atol=1e-6, err_msg=key)
        if key.startswith("attention_") and (name, key) != ("vgg-pan", "attention_conv10"):  # a gate
            np.testing.assert_allclose(value.sum((1, 2)), 1, atol=1e-5)


def check_fresh_process(names, directory, fresh_process):
    """Save each model, load all of them in one new process, compare every output."""
    for name in names:
        model = small(name)
        model.save(directory / f"{name}.keras")
        np.savez(directory / f"{name}.npz", **answers(model))
        keras.utils.clear_session()
    np.save(directory / "images.npy", IMAGES)
    program = (
        "import sys, json, pathlib, keras, numpy as np\n"
        "from attention_keras import load_model\n"
        "d = pathlib.Path(sys.argv[1])\n"
        "for name in json.loads(sys.argv[2]):\n"
        "    got = load_model(d / f'{name}.keras')(np.load(d / 'images.npy'))\n"
        "    expected = np.load(d / f'{name}.npz')\n"
        "    assert set(got) == set(expected), name\n"
        "    for key in got:\n"
        "        value = keras.ops.convert_to_numpy(got[key])\n"
        "        np.testing.assert_allclose(value, expected[key], atol=1e-6, err_msg=name)\n"
    )
    fresh_process(program, str(directory), json.dumps(names))


def test_files_load_in_a_fresh_process(tmp_path, fresh_process):
    check_fresh_process(["vgg-att2-concat-pc", "vgg-pan", "vgg-att3-indep-dp"], tmp_path, fresh_process)
