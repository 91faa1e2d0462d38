"""Attention on a network of keras.applications, trained on a folder of images: the example, and train.py."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from attention_keras import load_model

ROOT = Path(__file__).parents[2]
TAPS = ["block_6_expand_relu", "block_13_expand_relu"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes, told apart by their colour."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (folder / name).mkdir()
        for index in range(20):
            pixels = np.clip(rng.normal(colour, 20, (96, 96, 3)), 0, 255).astype("uint8")
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


def run(*words, cwd):
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("kind", ["none", "a file"])
def test_the_example(photos, tmp_path, kind):
    """Fresh weights in one phase of training; weights of a file in two, the backbone frozen in the first."""
    weights = "none"
    if kind == "a file":
        weights = tmp_path / "mobilenet.weights.h5"
        keras.applications.MobileNetV2(include_top=False, weights=None).save_weights(weights)
    words = [photos, "--weights", weights, "--epochs", "2", "--batch-size", "8"]
    said = run(ROOT / "examples/finetune_application.py", *words, cwd=tmp_path)
    assert "model and panels in finetuned/" in said
    assert said.count("val_accuracy") == (2 if kind == "none" else 4)
    model = load_model(tmp_path / "finetuned" / "model.keras")
    outputs = model.predict(np.zeros((1, 96, 96, 3), "float32"), verbose=0)
    assert {name: value.shape for name, value in outputs.items()} == {
        "logits": (1, 2),
        "attention_block_13_expand_relu": (1, 6, 6),
        "attention_out_relu": (1, 3, 3),
    }
    assert len(list((tmp_path / "finetuned").glob("*.png"))) == 8


def test_train_py(photos, tmp_path):
    words = ["--dataset", f"folder:{photos}", "--backbone", "keras:MobileNetV2", "--taps", *TAPS]
    words += ["--image-size", "96", "--recipe", "quick", "--epochs", "1", "--batch-size", "8"]
    said = run(ROOT / "train.py", *words, "--name", "photos", cwd=tmp_path)
    assert "mobilenetv2-att2-linear-scaled" in said and "exported to saved_models/photos/1" in said
    metrics = json.loads((tmp_path / "runs" / "photos" / "metrics.json").read_text())
    # A fifth of 40 pictures or so, by their content; the rest in batches of 8.
    assert 2 <= metrics["test_images"] <= 16 and 2 <= metrics["steps"] <= 5
    assert (tmp_path / "runs/photos/labels.txt").read_text().split() == ["blue", "red"]
