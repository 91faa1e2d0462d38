"""Public doors: the commands as a user types them, photographs to train on, and what a run leaves."""

import json
import runpy
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from attention_keras import load_model
from attention_keras.commands.command_line import exit_code
from attention_keras.commands.main import main

ROOT = Path(__file__).parents[2]
CLASSES, SIDE = ("blue", "green", "red"), 40
TRAIN = (
    "train --dataset folder:photos --backbone backbone.keras --head linear --frozen-epochs 8 "
    "--frozen-learning-rate 0.02 --epochs 2 --batch-size 8 --precision float32 --deterministic --export none"
)


def type_in(line: str) -> int:
    """`attention-keras LINE` in this process; the exit code."""
    return exit_code(lambda: main(line.split()))


def run_script(script: str, *words: str) -> int:
    """`python SCRIPT WORDS` of a script in the root of the repository, in this process; the exit code."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", [script, *words])
        runpy.run_path(str(ROOT / script), run_name="__main__")
    return ended.value.code


def photograph(colour: int, seed: int, scale: int = 1) -> np.ndarray:
    """A noisy image, wider than the network's, with a square that is a little of the colour of its class."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 90, (SIDE, SIDE + 16, 3), dtype="uint8")
    top, left = rng.integers(0, SIDE - 18), rng.integers(8, SIDE - 10)
    pixels[top : top + 18, left : left + 18, 2 - colour] += np.uint8(rng.integers(20, 90))
    return pixels.repeat(scale, 0).repeat(scale, 1)


def write_photographs(folder: Path, each: int, seed: int, scale: int = 1, wrong: int = 0) -> None:
    """A folder for each class; so many of each class show the next class instead."""
    for colour, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            shown = (colour + (number < wrong)) % len(CLASSES)
            image = Image.fromarray(photograph(shown, seed + 1000 * colour + number, scale))
            image.save(folder / name / f"{name}{number}.png")


def save_backbone(path: Path, side: int) -> None:
    """Two smooth convolutions: ReLU and max-pooling would turn the last bit of a sum into a difference."""
    keras.utils.set_random_seed(0)
    images = keras.Input((side, side, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    for name, channels in (("early", 12), ("late", 16)):
        x = layers.Conv2D(channels, 3, 2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("swish", name=name)(x)
    keras.Model(images, x).save(path)


def digits_run(name: str, *more: str) -> list[str]:
    """`train.py` on embedded digits, 3 epochs of 5 steps (the last partial), with a term for attention."""
    words = (
        "train.py --backbone digits.keras --head linear --limit 75 --batch-size 16 --frozen-epochs 0 "
        "--epochs 3 --augment flip --attend-to 1 --attend-to-fraction 0.5 --optimizer sgd "
        "--learning-rate 0.02 --precision float32 --deterministic --export none --checkpoint-every 2 "
        f"--name {name}"
    )
    return [*words.split(), *more]


def results(run: Path) -> tuple[list[np.ndarray], list[dict], dict]:
    """Weights, history and metrics of a finished run, without times and versions."""
    timing = ("time", "images_per_second", "seconds", "commit")
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    metrics = json.loads((run / "metrics.json").read_text())
    return (
        load_model(run / "model.keras").get_weights(),
        [{k: v for k, v in line.items() if k not in timing} for line in history],
        {k: v for k, v in metrics.items() if k not in timing},
    )
