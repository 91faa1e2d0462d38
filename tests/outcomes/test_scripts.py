"""`python train.py --compat pc`, then `python evaluate.py RUN`: a network of the paper."""

import json

import numpy as np
import pytest
from doors import results, run_script

from attention_keras import load_model

pytestmark = pytest.mark.slow
TRAIN = "train.py --compat pc --width 0.03 --limit 64 --epochs 1 --batch-size 16 --name pc"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("pc")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert run_script(*TRAIN.split(), "--precision", "float32", "--export", "none") == 0
        assert run_script("evaluate.py", "runs/pc") == 0
    return place


def test_it_is_the_network_of_the_paper_with_parametrised_scores(place):
    model = load_model(place / "runs" / "pc")
    outputs = model(np.zeros((2, 32, 32, 3), "float32"))
    assert set(outputs) == {"logits", "attention_conv10", "attention_conv13"}
    assert {name: value.shape for name, value in outputs.items()} == {
        "logits": (2, 10),
        "attention_conv10": (2, 16, 16),
        "attention_conv13": (2, 8, 8),
    }
    scores = [layer for layer in model.layers if type(layer).__name__ == "CompatibilityScore"]
    # One vector u and a bias for each level, instead of a dot product.
    assert sorted(sum(int(np.prod(w.shape)) for w in layer.weights) for layer in scores) == [16, 16]
    metrics = results(place / "runs" / "pc")[2]
    assert metrics["parameters"] == sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert metrics["steps"] == 4


def test_evaluate_finds_the_test_error_of_the_training(place):
    trained = results(place / "runs" / "pc")[2]
    report = json.loads((place / "runs" / "pc" / "evaluation" / "classification.json").read_text())
    measured = report["values"]["pc"]
    assert measured["images"] == trained["test_images"] == 12
    assert measured["error"] == pytest.approx(trained["test_error"], abs=1e-6)
    assert set(measured["localization"]) == {"conv10", "conv13", "evidence"}
    report = (place / "runs" / "pc" / "evaluation" / "report.html").read_text(encoding="utf-8")
    assert "confusion" in report
