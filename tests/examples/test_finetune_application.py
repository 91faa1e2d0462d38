"""The example: attention on a network of keras.applications, trained on a folder of images."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from attention_keras import load_model

EXAMPLE = Path(__file__).parents[2] / "examples" / "finetune_application.py"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["none", "a file"])
def test_the_example(tmp_path, kind):
    """Fresh weights in one phase of training; weights of a file in two, the backbone frozen in the first."""
    rng = np.random.default_rng(0)
    for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(20):
            pixels = np.clip(rng.normal(colour, 20, (96, 96, 3)), 0, 255).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.png")
    weights = "none"
    if kind == "a file":
        weights = str(tmp_path / "mobilenet.weights.h5")
        keras.applications.MobileNetV2(include_top=False, weights=None).save_weights(weights)
    words = ["photos", "--weights", weights, "--epochs", "2", "--batch-size", "8"]
    done = subprocess.run([sys.executable, EXAMPLE, *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "model and drawings in finetuned/" in done.stdout
    assert done.stdout.count("val_accuracy") == (2 if kind == "none" else 4)
    model = load_model(tmp_path / "finetuned" / "model.keras")
    assert {"logits", "level_logits", "attention_out_relu"} == set(model.output)
    assert len(list((tmp_path / "finetuned").glob("*.png"))) == 8
