"""The small trained model that is kept in the repository is what its card says."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from attention_keras.data.datasets import load_dataset
from attention_keras.evaluation.subjects.load import load_predictor
from attention_keras.evaluation.tasks.query import questioned_maps
from attention_keras.measures.faithfulness import movement
from attention_keras.measures.localization import localize
from attention_keras.models.outputs import attention_maps
from attention_keras.runs.config import RunConfig
from attention_keras.training.network import build_network

VERSION = Path(__file__).parents[2] / "saved_models" / "cluttered-digits" / "1"


@pytest.fixture(scope="module")
def card():
    return json.loads((VERSION / "assets" / "model_card.json").read_text())


def test_small_and_whole_and_made_by_the_command_in_its_readme(card):
    files = {str(path.relative_to(VERSION)): path for path in VERSION.rglob("*") if path.is_file()}
    assert sum(path.stat().st_size for path in files.values()) < 2_000_000
    del files["assets/model_card.json"]
    assert card["sha256"] == {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in files.items()}
    precision = card["config"]["precision"]  # "auto" is the processor's choice
    asked = RunConfig(name="cluttered-digits", compat="scaled", precision=precision)
    assert RunConfig.from_dict(card["config"]).differences(asked) == {}


def test_it_finds_and_names_digits(card):
    test = load_dataset("cluttered_digits").test().take(slice(500))
    outputs = load_predictor(VERSION).predict(test.images, 100)
    error = np.mean(outputs["probabilities"].argmax(-1) != test.labels)
    # The card's error is over 2,000 scenes; of 500 it may differ by chance.
    assert abs(error - card["test_error"]) < 0.03
    found = localize(attention_maps(outputs), np.asarray(test.masks[:]))
    assert max(scores["pointing_game"] for scores in found.values()) > 0.9


@pytest.mark.slow
def test_another_images_g_moves_its_maps(card):
    """The score depends on g, and in a trained network that is seen: over a tenth of the attention moves."""
    dataset = load_dataset("cluttered_digits")  # all of it: pixels are normalised by its mean
    model = build_network(RunConfig.from_dict(card["config"]), dataset)
    stored = tf.saved_model.load(str(VERSION)).weights
    for variable, value in zip(model.variables, stored, strict=True):
        variable.assign(value)
    images = np.asarray(dataset.test().images[:24])
    served = load_predictor(VERSION).predict(images)
    for name, level in attention_maps(model(images.astype("float32"))).items():
        np.testing.assert_allclose(level, served[f"attention_{name}"], atol=1e-5)  # the weights are in place
    own, asked = questioned_maps(model, images[4:].astype("float32"), images[:4].astype("float32"))
    for tap in ("conv10", "conv13"):
        assert movement(own[tap], asked[tap])["total_variation"] > 0.1, tap
