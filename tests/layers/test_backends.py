"""Layers survive configuration, files and fresh processes, and train on JAX without TensorFlow."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from attention_keras.layers import AttentionPool, CompatibilityScore


def attention_model():
    local, g = keras.Input((4, 4, 6)), keras.Input((6,))
    outputs = {}
    for kind in ("dp", "pc", "scaled", "additive", "mean"):
        for normalization in ("softmax", "sigmoid"):
            scores = CompatibilityScore(kind)(local, g)
            descriptor, attention = AttentionPool(normalization)(local, scores)
            outputs[f"{kind}_{normalization}"] = descriptor
            outputs[f"{kind}_{normalization}_map"] = attention
    return keras.Model([local, g], outputs)


@pytest.mark.parametrize("kind", ["dp", "pc", "scaled", "additive", "mean"])
def test_get_config_round_trip(kind):
    layer = CompatibilityScore(kind, u_initializer="ones", name="s", dtype="mixed_bfloat16")
    again = CompatibilityScore.from_config(json.loads(json.dumps(layer.get_config())))
    assert (again.compat, again.name, again.dtype_policy.name) == (kind, "s", "mixed_bfloat16")
    assert type(again.u_initializer) is type(layer.u_initializer)
    assert AttentionPool.from_config(AttentionPool("sigmoid").get_config()).normalization == "sigmoid"


def test_a_fresh_process_loads_the_file_and_gets_the_same_numbers(tmp_path):
    rng = np.random.default_rng(0)
    local, g = rng.normal(size=(3, 4, 4, 6)).astype("float32"), rng.normal(size=(3, 6)).astype("float32")
    model = attention_model()
    model.save(tmp_path / "m.keras")
    expected = model.predict([local, g], verbose=0)
    np.savez(tmp_path / "io.npz", local=local, g=g, **{f"out_{k}": v for k, v in expected.items()})
    program = (
        "import numpy as np, keras, attention_keras.layers\n"
        f"io = np.load(r'{tmp_path / 'io.npz'}')\n"
        f"model = keras.models.load_model(r'{tmp_path / 'm.keras'}')\n"
        "out = model.predict([io['local'], io['g']], verbose=0)\n"
        "assert len(out) == 20\n"
        "for k, v in out.items(): np.testing.assert_allclose(v, io['out_' + k], atol=1e-6)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


JAX_PROGRAM = """
import os, sys
os.environ["KERAS_BACKEND"] = "jax"

class NoTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, NoTensorFlow())
import keras, numpy as np
from attention_keras import attend, build_model, list_models
from attention_keras.models.prune import prune_dead_branch
assert keras.backend.backend() == "jax" and "tensorflow" not in sys.modules

rng = np.random.default_rng(0)
images = rng.uniform(0, 255, (8, 32, 32, 3)).astype("float32")
labels = rng.integers(0, 3, 8)
for name in sys.argv[1:] or list_models():
    model = build_model(name, num_classes=3, width=0.03)
    loss = keras.losses.SparseCategoricalCrossentropy(True)
    before = [np.asarray(w) for w in model.get_weights()]
    model.compile("sgd", loss, metrics=["accuracy"], jit_compile=False)
    assert np.isfinite(model.train_on_batch(images, labels)).all(), name
    assert any(np.abs(a - b).max() > 0 for a, b in zip(before, model.get_weights())), name
    outputs, pruned = model.predict(images, verbose=0), prune_dead_branch(model).predict(images, verbose=0)
    for key, value in outputs.items():
        np.testing.assert_allclose(value, pruned[key], atol=1e-6, err_msg=f"{name} {key}")
        if key.startswith("attention_") and "sigmoid" not in name and not ("pan" in name and "10" in key):
            np.testing.assert_allclose(value.sum((1, 2)), 1, atol=1e-5)
    print("ok", name, flush=True)
"""


def train_on_jax(*names):
    pytest.importorskip("jax")
    done = subprocess.run([sys.executable, "-c", JAX_PROGRAM, *names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_paper_models_train_on_jax_with_tensorflow_out_of_reach():
    names = ["vgg-att2-concat-pc", "vgg-att1-dp", "vgg-att2-linear-scaled"]
    assert train_on_jax(*names).count("ok") == len(names)


@pytest.mark.slow
def test_the_whole_zoo_trains_on_jax():
    from attention_keras import list_models

    assert train_on_jax().count("ok") == len(list_models())
