"""docs/photographs.md as a user follows it: train on a folder, evaluate, predict, export, ask the export.

Every door gives the same answers, and they are those of the last commit.
"""

import csv
import json

import numpy as np
import pytest
import tensorflow as tf
from doors import CLASSES, results, type_in
from PIL import Image

from attention_keras import evidence_model, load_model

# The losses are as commit bf3fd36 writes them with the warm-up of today (its first rate was 0), and the
# probabilities with a head whose statistics count from its first batch. AMD EPYC, AVX512, TensorFlow 2.21.
LOSSES = [1.162192, 0.957330, 0.664938, 0.581553, 0.471995, 0.299115, 0.371362, 0.317521, 0.318229, 0.300475]
PROBABILITIES = {
    "blue0.png": [0.082267, 0.909531, 0.008202],
    "blue1.png": [0.871084, 0.030114, 0.098802],
    "green4.png": [0.086745, 0.908736, 0.004519],
    "red2.png": [0.127751, 0.003533, 0.868716],
    "red6.png": [0.051429, 0.001847, 0.946724],
}


def rows_in(output):
    with (output / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def rows(folder_run):
    return rows_in(folder_run.answers)


@pytest.fixture(scope="module")
def predicted(rows):
    """Probabilities of the classes in order, a row for each test photograph."""
    ranks = ("", "_2", "_3")
    by_class = [{row[f"class{n}"]: float(row[f"probability{n}"]) for n in ranks} for row in rows]
    return np.asarray([[row[name] for name in CLASSES] for row in by_class])


@pytest.fixture(scope="module")
def pixels(folder_run, rows):
    """What the network sees of them: the middle."""
    return np.asarray([np.asarray(Image.open(folder_run.desk / row["path"]))[:, 8:48] for row in rows])


@pytest.fixture(scope="module")
def served(folder_run):
    return tf.saved_model.load(str(folder_run.served)).signatures


def test_the_run_ends_as_it_did_and_predict_gives_the_numbers_it_gave(folder_run, rows, predicted):
    _, history, metrics = results(folder_run.path)
    assert [line["loss"] for line in history] == pytest.approx(LOSSES, abs=1e-5)
    assert metrics["test_images"] == 21 and metrics["epochs"] == len(LOSSES)
    assert (folder_run.path / "labels.txt").read_text().split() == list(CLASSES)
    found = {row["path"].rpartition("/")[2]: values for row, values in zip(rows, predicted)}
    assert len(found) == 21 and not any(row["reason"] for row in rows)
    for name, expected in PROBABILITIES.items():
        assert found[name] == pytest.approx(expected, abs=1e-5), name


def test_the_test_error_is_that_of_evaluate_and_of_predict(folder_run, rows):
    metrics = results(folder_run.path)[2]
    report = json.loads((folder_run.path / "evaluation" / "classification.json").read_text())
    (measured,) = report["values"].values()
    wrong = np.mean([row["class"] != row["path"].split("/")[-2] for row in rows])
    assert metrics["test_error"] == pytest.approx(3 / 21)  # three photographs show another class
    assert metrics["test_error"] == pytest.approx(measured["error"], abs=1e-6)
    assert metrics["test_error"] == pytest.approx(wrong, abs=1e-6)
    assert (folder_run.path / "evaluation" / "report.html").stat().st_size > 1000


def test_the_served_model_gives_what_predict_gives(served, folder_run, rows, pixels, predicted):
    for signature in ("serving_default", "classify", "explain"):
        answers = served[signature](images=pixels)
        np.testing.assert_allclose(answers["probabilities"], predicted, atol=1e-5, err_msg=signature)
    files = [(folder_run.desk / row["path"]).read_bytes() for row in rows]
    answers = served["serve_bytes"](image_bytes=tf.constant(files))
    assert answers["valid"].numpy().all()
    np.testing.assert_allclose(answers["probabilities"], predicted, atol=1e-5)
    assert (folder_run.served / "assets" / "labels.txt").read_text().split() == list(CLASSES)
    outputs = load_model(folder_run.path)(pixels.astype("float32"))
    answers = served["serving_default"](images=pixels)
    for name in ("attention_early", "attention_late"):
        np.testing.assert_allclose(np.asarray(outputs[name]).sum((1, 2)), 1, atol=1e-5)
        np.testing.assert_allclose(answers[name], np.asarray(outputs[name]), atol=1e-5)


def test_the_litert_file_gives_what_predict_gives(folder_run, pixels, predicted):
    runtime = pytest.importorskip("ai_edge_litert.interpreter")
    runner = runtime.Interpreter(model_path=str(folder_run.litert)).get_signature_runner("classify")
    np.testing.assert_allclose(runner(images=pixels)["probabilities"], predicted, atol=1e-5)


def test_evidence_adds_up_to_the_logit(served, folder_run, pixels, predicted):
    """Of the trained network, of each class; and of the served one, of a class that is asked about."""
    explained = evidence_model(load_model(folder_run.path), of="all")
    outputs = {name: np.asarray(value) for name, value in explained(pixels.astype("float32")).items()}
    centred = outputs["logits"] - outputs["logits"].mean(-1, keepdims=True)
    maps = {k: v for k, v in outputs.items() if k.startswith("evidence_") and k != "evidence_rest"}
    assert len(maps) >= 2 and all(np.abs(level).max() > 1e-3 for level in maps.values())
    total = sum(level.sum((1, 2)) for level in maps.values()) + outputs["evidence_rest"]
    np.testing.assert_allclose(total, centred, atol=1e-5 * np.abs(centred).max())

    temperature = results(folder_run.path)[2]["temperature"]
    logs = np.log(np.asarray(served["classify"](images=pixels)["probabilities"], "float64"))
    for label in range(3):
        asked = served["explain_class"](images=pixels, classes=np.full(len(pixels), label, "int32"))
        total = asked["evidence"].numpy().sum((1, 2)) + asked["evidence_rest"].numpy()
        np.testing.assert_allclose(total, temperature * (logs[:, label] - logs.mean(-1)), atol=1e-4)


def test_predict_answers_alike_from_the_served_model_and_from_files_that_are_resized(desk, served):
    outputs = {"of_run": "runs/photos", "of_served": "saved_models/photos/1"}
    for output, model in outputs.items():
        assert type_in(f"predict {model} new --output {output}") == 0
        assert [row["class"] for row in rows_in(desk / output)] == list(CLASSES)
    assert len(list((desk / "of_run").rglob("*.png"))) == 3
    found, again = ([float(row["probability"]) for row in rows_in(desk / name)] for name in outputs)
    assert found == pytest.approx(again, abs=1e-5)
    files = [path.read_bytes() for path in sorted((desk / "new").rglob("*.png"))]
    probabilities = served["serve_bytes"](image_bytes=tf.constant(files))["probabilities"]
    # The graph resizes as training does, within a grey level.
    assert probabilities.numpy().max(-1) == pytest.approx(found, abs=2e-3)


def test_without_options_the_class_head_is_fitted_and_every_door_says_the_same(desk):
    """No worse than the head that is trained step by step, on the same images."""
    line = "train --dataset folder:photos --backbone backbone.keras --precision float32 --name fitted"
    assert type_in(f"{line} --export saved_model") == 0
    _, history, metrics = results(desk / "runs" / "fitted")
    assert len(history) == metrics["epochs"] == 1 and metrics["test_error"] <= 3 / 21 + 1e-6
    for model, output in (("runs/fitted", "of_fitted_run"), ("saved_model/fitted/1", "of_fitted_export")):
        assert type_in(f"predict {model} photos/test --output {output} --no-pictures") == 0
    run, served = rows_in(desk / "of_fitted_run"), rows_in(desk / "of_fitted_export")
    wrong = np.mean([row["class"] != row["path"].split("/")[-2] for row in run])
    assert metrics["test_error"] == pytest.approx(wrong, abs=1e-6)
    for one, other in zip(run, served, strict=True):
        assert (one["path"], one["class"]) == (other["path"], other["class"])
        assert float(one["probability"]) == pytest.approx(float(other["probability"]), abs=1e-5)
