"""docs/photographs.md as a user follows it: train on a folder, evaluate, predict, export, ask the export."""

import csv
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image

from attention_keras.commands.command_line import exit_code
from attention_keras.commands.main import main

TRAIN = "train --dataset folder:photos --backbone backbone.keras --precision float32 --panels 1 --no-export"
CLASSES, EACH, SIDE = ("blue", "green", "red"), 24, 40


def photograph(colour: int, seed: int) -> np.ndarray:
    """A noisy picture of another shape than the network's, with a square in the colour of its class."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 90, (48, 64, 3), dtype="uint8")
    top, left = rng.integers(4, 24, 2)
    pixels[top : top + 18, left + 8 : left + 26, 2 - colour] += 150
    return pixels


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder `photos`, one `new`, and a backbone in a file."""
    place = tmp_path_factory.mktemp("desk")
    for label, name in enumerate(CLASSES):
        for number in range(EACH):
            file = place / "photos" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photograph(label, 100 * label + number)).save(file)
    (place / "new").mkdir()
    for label, name in enumerate(CLASSES):
        Image.fromarray(photograph(label, 1000 + label)).save(place / "new" / f"{name}.png")
    keras.utils.set_random_seed(0)
    images = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    for name, channels in (("early", 12), ("late", 16)):
        x = layers.Conv2D(channels, 3, 2, padding="same", activation="relu", name=name)(x)
    keras.Model(images, x).save(place / "backbone.keras")
    return place


@pytest.fixture
def desk(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


def type_in(line: str) -> int:
    return exit_code(lambda: main(line.split()))


@pytest.fixture(scope="module")
def trained(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert type_in(f"{TRAIN} --batch-size 2 --balance --patience 4") == 0
    return place / "runs" / "photos"


def probabilities_of(answers: Path) -> dict[str, float]:
    with (answers / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return {Path(row["path"]).stem: float(row["probability"]) for row in csv.DictReader(file)}


def test_the_run_is_called_by_the_folder_and_takes_the_backbones_size(trained):
    config = json.loads((trained / "config.json").read_text())["config"]
    assert config["data"]["image_size"] == SIDE and config["data"]["resize"] == "crop"
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["test_error"] <= 0.2 and metrics["epochs"] <= 13


def test_evaluate(trained, desk):
    assert type_in("evaluate classification runs/photos") == 0
    assert (trained / "evaluation" / "report.html").exists()


def test_predict_and_the_export_give_the_same_probabilities(trained, desk):
    assert type_in("predict runs/photos new/ --output answers") == 0
    answers = probabilities_of(desk / "answers")
    assert set(answers) == set(CLASSES)
    assert {p.suffix for p in (desk / "answers").rglob("*") if p.is_file()} >= {".csv", ".png"}
    assert type_in("export runs/photos --format saved_model litert") == 0
    served = tf.saved_model.load(str(desk / "saved_models" / "photos" / "1"))
    for name, probability in answers.items():
        said = served.signatures["serve_bytes"](
            image_bytes=tf.constant([(desk / "new" / f"{name}.png").read_bytes()])
        )
        assert float(said["probabilities"].numpy().max()) == pytest.approx(probability, abs=2e-3)
    assert (desk / "saved_models" / "photos" / "photos-1.tflite").stat().st_size > 1000


def test_the_same_command_says_that_it_is_done_and_another_gets_another_name(trained, desk, capsys):
    assert type_in(f"{TRAIN} --batch-size 2 --balance --patience 4") == 0
    assert "is finished already" in capsys.readouterr().out
    assert type_in(f"{TRAIN} --epochs 0 --frozen-epochs 1") == 0
    assert [path.name for path in sorted((desk / "runs").iterdir())] == [
        "folder-photos-backbone-att-linear-scaled-s0-epochs0-frozen-epochs1-precisionfloat32",
        "photos",
    ]
