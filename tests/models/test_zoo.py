"""Every network of the paper: parameters and maps as in the official code; training; files."""

import keras
import numpy as np
import pytest
from small_backbones import arrays, scattered

from attention_keras import evidence_model
from attention_keras.errors import UserError
from attention_keras.models.spec import ModelSpec
from attention_keras.models.zoo import build_model, list_models


def test_map_sizes():
    for name, size, sides in (
        ("vgg-att1-pc", 32, [8]),
        ("vgg-att3-concat-pc", 80, [32, 16, 8]),
        ("vgg-pan", 80, [16, 8]),
        ("vgg-att2-concat-pc", 64, [16, 8]),
        ("vgg-att2-class", 32, [16, 8]),
    ):
        output = build_model(name, (size, size, 3), width=0.03).output
        taps = ("conv7", "conv10", "conv13")[-len(sides) :]
        assert [output[f"attention_{tap}"].shape[1] for tap in taps] == sides, name


def test_dropout_batch_norm_and_scores_are_the_official_ones():
    def of_kind(kind, **options):
        model = build_model("vgg-att2-concat-pc", width=0.03, **options)
        return {layer.name: layer for layer in model.layers if isinstance(layer, kind)}

    expected = {f"conv{i}_dropout": 0.3 if i == 1 else 0.4 for i in (1, 3, 5, 6, 8, 9, 11, 12, 14, 15)}
    expected |= {f"{name}_dropout": 0.5 for name in ("global", "head_conv10", "head_conv13")}
    assert {name: layer.rate for name, layer in of_kind(keras.layers.Dropout).items()} == expected
    assert not of_kind(keras.layers.Dropout, dropout=False)
    norms = of_kind(keras.layers.BatchNormalization)
    assert norms["conv10_norm"].epsilon == 1e-3 and norms["head_conv10_norm"].epsilon == 1e-5
    assert {layer.momentum for layer in norms.values()} == {0.9}
    u = build_model("vgg-att2-concat-pc").get_layer("scores_conv13").u
    assert np.std(u) == pytest.approx(np.sqrt(2), rel=0.1)  # fan_out is 1


def test_names_and_specs_are_inverses():
    names = "vgg-att2-concat-pc-sigmoid rn164-att3-indep-additive vgg-att3-indep-dp-sigmoid-lup-3g"
    names += " vgg-att3-indep-linear-dp-sigmoid-lup rn164-att2-linear-pc"
    for name in [*list_models(), *names.split()]:
        assert ModelSpec.parse(name).name == name
    assert ModelSpec.parse("vgg-att2-concat-pc").replace(head="linear").name == "vgg-att2-linear-pc"
    for name in ("vgg-att2-pc", "vgg-att2-concat-pc-3g", "rn164-gap", "lenet"):
        with pytest.raises(UserError, match=f"unknown model '{name}'"):
            build_model(name)
    with pytest.raises(UserError, match="multiples of 16; got 40x50"):
        build_model("vgg", (50, 40, 3))


def small(name, policy="float32"):
    keras.config.set_dtype_policy(policy)
    return build_model(name, num_classes=3, width=0.03)


IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")
TARGETS = np.eye(3, dtype="float32")[[0, 1, 2, 1]]
# One step is sooner taken than traced; JAX compiles it at once sooner than operation by operation.
EAGERLY = keras.backend.backend() != "jax"
# Three resnets stand for all: their heads are those of VGG, and 164 layers are slow to build.
RESNETS = ("rn164", "rn164-att2-concat-pc", "rn164-att2-indep-scaled")
ZOO = [name for name in list_models() if name in RESNETS or not name.startswith("rn164")]
EXTRA = ["vgg-att2-concat-pc-sigmoid", "vgg-att2-concat-additive", "vgg-att3-indep-dp-sigmoid-lup-3g"]
FEW = ["vgg-att2-concat-pc", "vgg-att2-linear-scaled", "vgg-att3-indep-dp-sigmoid-lup-3g"]


def tensors(model):
    """Outputs by name, without a graph that is used once."""
    return model(IMAGES) if EAGERLY else model.predict_on_batch(IMAGES)


def steps():
    for name in (*ZOO, *EXTRA):
        for policy in ("float32", "mixed_bfloat16"):
            quick = name in FEW and policy == "mixed_bfloat16"
            yield pytest.param(name, policy, marks=[] if quick else pytest.mark.slow)


@pytest.mark.parametrize(("name", "policy"), steps())
def test_a_step_of_training(name, policy, monkeypatch):
    if keras.backend.backend() == "torch":
        # On AVX2 it hangs or crashes in the gradient of a ResNet's 1x1 convolution with stride, which is
        # written past its memory where there are fewer than eight channels (oneDNN issue 6035).
        monkeypatch.setattr("torch.backends.mkldnn.enabled", False)
    model = small(name, policy)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"], run_eagerly=EAGERLY)
    before = [np.array(w) for w in model.get_weights()]
    assert np.isfinite(model.train_on_batch(IMAGES, TARGETS)[0])
    assert sum(np.abs(a - b).max() > 0 for a, b in zip(before, model.get_weights())) > len(before) // 2
    # Of the tensors: of PyTorch's bfloat16, arrays are float32.
    for key, value in tensors(model).items():
        assert keras.backend.standardize_dtype(value.dtype) == "float32", key


def test_files_load_in_a_fresh_process(tmp_path, fresh_process):
    """Each is saved, all are loaded in one new process, and every output is compared."""
    models = {name: small(name) for name in ("vgg-att2-concat-pc", "vgg-pan", "vgg-att3-indep-dp")}
    models["evidence"] = evidence_model(scattered(small("vgg-att2-concat-dp")), of="predicted")
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", **arrays(tensors(model)))
    np.save(tmp_path / "images.npy", IMAGES)
    program = (
        "import sys, pathlib\n"
        "from attention_keras.heads import ClassHead  # which brings Keras\n"
        "from attention_keras import load_model\n"
        "import keras, numpy as np\n"
        "d = pathlib.Path(sys.argv[1])\n"
        "for name in sys.argv[2:]:\n"
        "    got = load_model(d / f'{name}.keras')(np.load(d / 'images.npy'))\n"
        "    expected = np.load(d / f'{name}.npz')\n"
        "    assert set(got) == set(expected), name\n"
        "    for key in got:\n"
        "        value = keras.ops.convert_to_numpy(got[key])\n"
        "        np.testing.assert_allclose(value, expected[key], atol=1e-6, err_msg=name)\n"
    )
    fresh_process(program, str(tmp_path), *models)
