"""Trainings of seconds, what they leave, and ways for them to die in place of a kill."""

import contextlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from small_network import build_small_network

from attention_keras.models.zoo import build_model
from attention_keras.runs.config import RunConfig
from attention_keras.training import report
from attention_keras.training.checkpoint import Checkpointing
from attention_keras.training.session import Session
from attention_keras.training.train import RunResult, train

EPOCHS, STEPS, FROZEN, PANELS = 3, 5, 2, 2
DECAY = 0.8
SMALL = {
    "limit": 75,  # 5 steps of 16, the last one of 11
    "batch_size": 16,
    "precision": "float32",
    "checkpoint_every": 2,
    "name": "run",
}
PLAIN = RunConfig(**SMALL, epochs=EPOCHS, dropout=True, augment="flip")
FULL = PLAIN.replace(ema=DECAY, attend_to=1.0, attend_to_fraction=0.5, augment="flip+crop")
FINETUNED = RunConfig(
    **SMALL, backbone="small.keras", head="linear", frozen_epochs=FROZEN, epochs=2, ema=DECAY
)
FOLDER = RunConfig(
    **SMALL | {"limit": 0, "batch_size": 8},
    dataset="folder:photos",
    image_size=16,
    epochs=2,
    augment="flip+resized_crop",
)


class SmallRun:
    """A run and the lines that a person read."""

    def __init__(self, result: RunResult, lines: list[str]):
        self.result, self.lines = result, lines
        self.path, self.metrics = result.run.path, result.metrics

    def model(self, name="model.keras") -> keras.Model:
        return keras.models.load_model(self.path / name, compile=False)

    def weights(self) -> dict[str, np.ndarray]:
        """By name, without the states of random draws."""
        variables = {v.path: keras.ops.convert_to_numpy(v) for v in self.model().variables}
        return {name: value for name, value in variables.items() if value.dtype == "float32"}

    def history(self) -> list[dict[str, Any]]:
        return read_history(self.path)


def build_network(*arguments, backbone, **options) -> keras.Model:
    """The small network, unless a run brings a backbone."""
    build = build_small_network if backbone is None else build_model
    return build(*arguments, backbone=backbone, **options)


def trained(options, folder, **changes) -> SmallRun:
    """Train with the small network in place of the zoo's, and two panels."""
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("attention_keras.training.network.build_model", build_network)
        patch.setattr(report, "PANELS", PANELS)
        return SmallRun(train(options.replace(run_dir=str(folder), **changes), report=lines.append), lines)


def read_history(path: Path) -> list[dict[str, Any]]:
    """What a run's folder says of each epoch, but for how long it took."""
    lines = [json.loads(line) for line in (path / "history.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("time", "images_per_second")} for line in lines]


def assert_ends_as(run: SmallRun, other: SmallRun, tolerance: float = 1e-6) -> None:
    """The same weights, history and test error."""
    weights, expected = run.weights(), other.weights()
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        np.testing.assert_allclose(value, expected[name], atol=tolerance, rtol=tolerance, err_msg=name)
    for epoch, wanted in zip(run.history(), other.history(), strict=True):
        assert epoch == pytest.approx(wanted, abs=10 * tolerance, rel=tolerance)
    assert run.metrics["test_error"] == pytest.approx(other.metrics["test_error"], abs=tolerance)


def difference(run: SmallRun, other: SmallRun) -> float:
    """The largest of all weights."""
    expected = other.weights()
    return max(np.abs(value - expected[name]).max() for name, value in run.weights().items())


class Death(Exception):
    """Stands in for a kill."""


@contextlib.contextmanager
def death_at(step: int | None):
    """What is inside dies right after optimiser step `step`, before anything is saved for it.

    Without a step it dies after the last epoch, before the run is tested and saved.
    """
    original = Checkpointing.on_train_batch_end

    def die(self, *arguments, **logs):
        if step is None or self.history.step == step:
            raise Death
        original(self, *arguments, **logs)

    with pytest.MonkeyPatch.context() as patch:
        if step is None:
            patch.setattr(Session, "finish", die)
        else:
            patch.setattr(Checkpointing, "on_train_batch_end", die)
        with pytest.raises(Death):
            yield


def write_photograph(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype="uint8")
    Image.fromarray(coarse).resize((40, 30)).save(path)


def save_small_backbone(path: Path) -> Path:
    keras.utils.set_random_seed(5)
    images = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = layers.Conv2D(6, 3, 2, padding="same", name="early")(x)
    x = layers.Activation("swish")(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2D(8, 3, 2, padding="same", activation="swish", name="late")(x)
    model = keras.Model(images, x, name="small")
    model.get_layer("norm").moving_mean.assign(np.linspace(-0.2, 0.2, 6))
    model.save(path)
    return path
