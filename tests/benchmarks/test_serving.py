"""The benchmark measures what it says, on a network of a few channels."""

import numpy as np
import pytest

from attention_keras import build_model
from attention_keras.models.prune import prune_dead_branch
from benchmarks.serving import beside_classify, inputs, load_signatures, measure, medians


@pytest.fixture(scope="module")
def model():
    return build_model("vgg-att2-concat-pc", num_classes=3, width=0.05)


@pytest.mark.parametrize(
    "signature",
    ["classify", *(pytest.param(name, marks=pytest.mark.slow) for name in ("explain_class", "serve_bytes"))],
)
def test_export_unpruned_and_predict_are_measured(signature, model, tmp_path):
    pruned = load_signatures(prune_dead_branch(model), tmp_path / "pruned")
    whole = load_signatures(model, tmp_path / "whole")
    took = measure(model, signature, 2, 1, pruned, whole)
    assert took.keys() == {"export", "unpruned", "predict"}
    assert all(1e-5 < seconds < 30 for seconds in took.values())
    value = inputs(signature, np.zeros((2, 32, 32, 3), "uint8"))
    np.testing.assert_allclose(
        pruned[signature](**value)["probabilities"], whole[signature](**value)["probabilities"], atol=1e-5
    )


def test_signatures_beside_classify(model, tmp_path):
    took = beside_classify(model, 2, 1, load_signatures(prune_dead_branch(model), tmp_path / "pruned"))
    assert list(took) == ["classify", "serving_default", "explain", "explain_class"]
    assert all(1e-5 < seconds < 30 for seconds in took.values())


def test_calls_take_turns():
    said = []
    medians({name: lambda name=name: said.append(name) for name in "abc"}, rounds=3)
    assert "".join(said) == "aabbcc" + "abc" + "bca" + "cab"
