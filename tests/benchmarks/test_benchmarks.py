"""The benchmarks measure what they say, on networks of a few channels."""

import numpy as np
import pytest

from attention_keras import build_model
from attention_keras.models.parts import prune_dead_branch
from benchmarks import train_step
from benchmarks.common import convolution, medians
from benchmarks.serving import inputs, load_signatures
from benchmarks.serving import measure as measure_signature


def test_training_cases_take_turns_and_ratios_are_of_the_first():
    words = "--models vgg vgg-att1-mean --precisions float32 --width 0.02 --batch-size 4 --steps 1 --rounds 2"
    cases = train_step.measure(train_step.parse(words.split()))
    assert [case.model for case in cases] == ["vgg", "vgg-att1-mean"]
    assert all(len(case.step_seconds) == 2 and case.compile_seconds > case.seconds for case in cases)
    cases[1].step_seconds = [2 * cases[0].seconds]
    cells = dict(zip(train_step.HEADS, cases[1].row(cases[0], 4, {"float32": 1e12}), strict=True))
    assert cells["ratio"] == "0.50"
    macs = float(cells["M MACs"].replace(",", "")) * 1e6
    flops = 6 * macs * 4 / cases[1].seconds
    assert float(cells["GFLOP/s"].replace(",", "")) == pytest.approx(flops / 1e9, abs=1 + 0.2 * flops / 1e9)


def test_an_export_is_measured_beside_the_unpruned_one_and_predict(tmp_path):
    model = build_model("vgg-att2-concat-pc", num_classes=3, width=0.05)
    pruned = load_signatures(prune_dead_branch(model), tmp_path / "pruned")
    whole = load_signatures(model, tmp_path / "whole")
    took = measure_signature(model, "serve_bytes", 2, 1, pruned, whole)
    assert took.keys() == {"export", "classify", "unpruned", "predict"}
    assert all(1e-5 < seconds < 30 for seconds in took.values())
    for name in pruned:  # the pruned graph answers as the whole one
        value = inputs(name, np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype="uint8"))
        ours, theirs = (signatures[name](**value)["probabilities"] for signatures in (pruned, whole))
        np.testing.assert_allclose(ours, theirs, atol=1e-5, err_msg=name)


def test_calls_take_turns_and_a_convolution_is_plausible():
    said = []
    medians({name: lambda name=name: said.append(name) for name in "abc"}, rounds=3)
    assert "".join(said) == "aabbcc" + "abc" + "bca" + "cab"
    assert 1e7 < convolution("float32", (2, 8, 8, 16), repeats=1) < 1e14
