"""A run's temperature is in every probability: evaluated, predicted and served alike."""

import csv
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.special import softmax

from attention_keras import build_model
from attention_keras.commands.predict import main as predict
from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.load import load_predictor, load_subjects
from attention_keras.runs.directory import Run
from attention_keras.runs.options import TrainOptions
from attention_keras.serving.export import export_run

TEMPERATURE = 2.5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of a network with logits of a few units."""
    path = tmp_path_factory.mktemp("runs") / "sure"
    path.mkdir()
    model = build_model("vgg-att1-dp", num_classes=3, width=0.05, init="keras")
    kernel, bias = model.get_layer("classifier").get_weights()
    model.get_layer("classifier").set_weights([0.01 * kernel, bias])
    model.save(path / "model.keras")
    with Run(path).writing(TrainOptions().resolve(), TrainOptions().machine):
        pass
    (path / "labels.txt").write_text("zero\none\ntwo")
    (path / "metrics.json").write_text(json.dumps({"test_error": 0.5, "temperature": TEMPERATURE}))
    return path, model


def test_everywhere_the_same_probabilities(run, images, tmp_path):
    path, model = run
    logits = np.asarray(model(images.astype("float32"))["logits"])
    expected = softmax(logits / TEMPERATURE, axis=-1)
    assert np.abs(expected - softmax(logits, axis=-1)).max() > 0.05  # else the test could not fail
    np.testing.assert_allclose(load_predictor(path).predict(images)["probabilities"], expected, atol=1e-5)
    (subject,) = load_subjects([str(path)])
    np.testing.assert_allclose(subject.probabilities(images), expected, atol=1e-5)

    exported = export_run(path, tmp_path / "saved")
    served = tf.saved_model.load(str(exported)).signatures
    for signature in ("serving_default", "classify", "explain"):
        found = served[signature](images=images)["probabilities"]
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=signature)
    assert load_predictor(exported).temperature == TEMPERATURE

    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    words = [str(path), *(str(tmp_path / f"{index}.png") for index in range(len(images)))]
    assert predict([*words, "--output", str(tmp_path / "out"), "--top", "1"], "predict") == 0
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        found = [float(row["probability"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(found, expected.max(axis=-1), atol=1e-5)


@pytest.mark.parametrize("wrong", ["0", "-1", '"hot"', "null"])
def test_a_temperature_that_is_none_is_refused_in_one_line(tmp_path, wrong):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "metrics.json").write_text(f'{{"temperature": {wrong}}}')
    with pytest.raises(UserError, match="temperature must be a number above 0"):
        _ = Run(tmp_path).temperature
