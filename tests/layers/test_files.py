"""Layers survive configuration, and Keras knows them."""

import json

from attention_keras.layers import AttentionPool, CompatibilityScore


def test_get_config_round_trip():
    layer = CompatibilityScore("pc", u_initializer="ones", name="s", dtype="mixed_bfloat16")
    again = CompatibilityScore.from_config(json.loads(json.dumps(layer.get_config())))
    assert (again.compat, again.name, again.dtype_policy.name) == ("pc", "s", "mixed_bfloat16")
    assert type(again.u_initializer) is type(layer.u_initializer)
    assert AttentionPool.from_config(AttentionPool("sigmoid").get_config()).normalization == "sigmoid"


def test_classes_are_registered_also_where_someone_asked_for_keras_before_importing_it(fresh_process):
    """TensorFlow does: it looks for Keras without importing it."""
    program = (
        "import importlib.util, attention_keras\n"
        "importlib.util.find_spec('keras')\n"
        "import keras\n"
        "assert 'attention_keras>CompatibilityScore' in keras.saving.get_custom_objects()"
    )
    fresh_process(program)
