"""The example: attention on a network of keras.applications, trained on a folder of images."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from attention_keras import load_model

ROOT = Path(__file__).parents[2]
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
    assert "model and drawings in finetuned/" in said
    assert said.count("val_accuracy") == (2 if kind == "none" else 4)
    model = load_model(tmp_path / "finetuned" / "model.keras")
    outputs = model.predict(np.zeros((1, 96, 96, 3), "float32"), verbose=0)
    assert {name: value.shape for name, value in outputs.items()} == {
        "logits": (1, 2),
        "level_logits": (1, 2, 2),
        "attention_out_relu": (1, 3, 3),
    }
    assert len(list((tmp_path / "finetuned").glob("*.png"))) == 8
