"""The small trained model that is kept in the repository is what its card says."""

import hashlib
import json
from pathlib import Path

import numpy as np

from attention_keras.data.datasets import load_dataset
from attention_keras.evaluation.subjects.load import load_predictor
from attention_keras.measures.localization import localize
from attention_keras.models.outputs import attention_maps
from attention_keras.runs.config import RunConfig

VERSION = Path(__file__).parents[2] / "saved_models" / "cluttered-digits" / "1"
CARD = json.loads((VERSION / "assets" / "model_card.json").read_text())


def test_small_and_whole_and_made_by_the_command_in_its_readme():
    files = {str(path.relative_to(VERSION)): path for path in VERSION.rglob("*") if path.is_file()}
    assert sum(path.stat().st_size for path in files.values()) < 2_000_000
    del files["assets/model_card.json"]
    assert CARD["sha256"] == {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in files.items()}
    precision = CARD["config"]["precision"]  # "auto" is the processor's choice
    asked = RunConfig(name="cluttered-digits", compat="scaled", precision=precision)
    assert RunConfig.from_dict(CARD["config"]).differences(asked) == {}


def test_it_finds_and_names_digits():
    test = load_dataset("cluttered_digits").test().take(slice(500))
    outputs = load_predictor(VERSION).predict(test.images, 100)
    error = np.mean(outputs["probabilities"].argmax(-1) != test.labels)
    # The card's error is over 2,000 scenes; of 500 it may differ by chance.
    assert abs(error - CARD["test_error"]) < 0.03
    found = localize(attention_maps(outputs), np.asarray(test.masks[:]))
    assert max(scores["pointing_game"] for scores in found.values()) > 0.9
