"""Layers survive configuration, files and fresh processes."""

import json

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


def test_get_config_round_trip():
    layer = CompatibilityScore("pc", u_initializer="ones", name="s", dtype="mixed_bfloat16")
    again = CompatibilityScore.from_config(json.loads(json.dumps(layer.get_config())))
    assert (again.compat, again.name, again.dtype_policy.name) == ("pc", "s", "mixed_bfloat16")
    assert type(again.u_initializer) is type(layer.u_initializer)
    assert AttentionPool.from_config(AttentionPool("sigmoid").get_config()).normalization == "sigmoid"


@pytest.mark.slow
def test_a_fresh_process_loads_the_file_and_gets_the_same_numbers(tmp_path, fresh_process):
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
    fresh_process(program)


def test_classes_are_registered_also_where_someone_asked_for_keras_before_importing_it(fresh_process):
    """TensorFlow does: it looks for Keras without importing it."""
    program = (
        "import importlib.util, attention_keras\n"
        "importlib.util.find_spec('keras')\n"
        "import keras\n"
        "assert 'attention_keras>CompatibilityScore' in keras.saving.get_custom_objects()"
    )
    fresh_process(program)
