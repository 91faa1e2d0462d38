"""`python train.py --compat pc`, then `python evaluate.py RUN`: a network of the paper."""

import json

import numpy as np
import pytest
from doors import results, run_script

from attention_keras import load_model

TRAIN = (
    "train.py --compat pc --width 0.03 --limit 64 --epochs 1 --batch-size 16 --name pc "
    "--precision float32 --export none"
)


@pytest.mark.slow
def test_a_network_of_the_paper_with_parametrised_scores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_script(*TRAIN.split()) == 0
    assert run_script("evaluate.py", "runs/pc") == 0
    run = tmp_path / "runs" / "pc"
    model, metrics = load_model(run), results(run)[2]
    outputs = model(np.zeros((2, 32, 32, 3), "float32"))
    shapes = {"attention_conv10": (2, 16, 16), "attention_conv13": (2, 8, 8), "logits": (2, 10)}
    assert {name: tuple(value.shape) for name, value in outputs.items()} == shapes
    scores = [layer for layer in model.layers if type(layer).__name__ == "CompatibilityScore"]
    # One vector u and a bias for each level, instead of a dot product.
    assert [layer.count_params() for layer in scores] == [16, 16]
    assert metrics["parameters"] == sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    measured = json.loads((run / "evaluation" / "classification.json").read_text())["values"]["pc"]
    assert measured["images"] == metrics["test_images"] == 12
    assert measured["error"] == pytest.approx(metrics["test_error"], abs=1e-6)
    assert set(measured["localization"]) == {"conv10", "conv13", "evidence"}
