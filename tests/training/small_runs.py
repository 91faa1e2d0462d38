"""Trainings of seconds, what they leave, and ways for them to die in place of a kill. As a script, train.py.

They train a small smooth network in place of the zoo's: ReLU and max-pooling turn the last bit of a sum into
a visible difference after a few steps, and then no two orders of summation agree.
"""

import contextlib
import json
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from attention_keras.models.attend import attend
from attention_keras.models.heads import PaperHead
from attention_keras.models.zoo import build_model
from attention_keras.runs.config import RunConfig
from attention_keras.training import network, report
from attention_keras.training.checkpoint import Checkpointing
from attention_keras.training.session import Session
from attention_keras.training.train import RunResult, train

ROOT = Path(__file__).parents[2]
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


def build_network(spec, input_shape, num_classes, *, backbone, dropout, preprocess, **options):
    """Two convolutions with batch norm and swish, dp attention on the first; or the backbone of a run."""
    if backbone is not None:
        given = {"backbone": backbone, "dropout": dropout, "preprocess": preprocess}
        return build_model(spec, input_shape, num_classes, **given, **options)
    images = keras.Input(input_shape, name="images")
    x = preprocess(images)
    for index, channels in enumerate((6, 8)):
        x = layers.Conv2D(channels, 3, 2, padding="same", name=f"conv{index}_kernel")(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("swish", name=f"conv{index}")(x)
        x = layers.Dropout(0.2)(x) if dropout else x
    head = PaperHead("dp", dropout=0.5 if dropout else 0)
    return attend(keras.Model(images, x), ["conv0", "conv1"], num_classes, head=head)


class SmallRun:
    """A run and, of one that was trained here, the lines that a person read."""

    def __init__(self, path: Path, result: RunResult | None = None, lines: Sequence[str] = ()):
        self.path, self.result, self.lines = path, result, lines
        self.metrics = json.loads((path / "metrics.json").read_text())

    def model(self, name="model.keras") -> keras.Model:
        return keras.models.load_model(self.path / name, compile=False)

    def logits(self, split, name="model.keras") -> np.ndarray:
        return self.model(name).predict(np.asarray(split.images, "float32"), verbose=0)["logits"]

    def error(self, split, name="model.keras") -> float:
        return float(np.mean(self.logits(split, name).argmax(-1) != split.labels))

    def loss(self, split) -> float:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return float(loss(split.labels, self.logits(split)))

    def weights(self) -> dict[str, np.ndarray]:
        """By name, without the states of random draws."""
        variables = {v.path: keras.ops.convert_to_numpy(v) for v in self.model().variables}
        return {name: value for name, value in variables.items() if value.dtype == "float32"}

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / "history.jsonl").read_text().splitlines()]

    def history(self) -> list[dict[str, Any]]:
        """What its folder says of each epoch, but for how long it took."""
        timed = ("time", "images_per_second")
        return [{k: v for k, v in record.items() if k not in timed} for record in self.records()]


def trained(options, folder, **changes) -> SmallRun:
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "build_model", build_network)
        patch.setattr(report, "PANELS", PANELS)
        result = train(options.replace(run_dir=str(folder), **changes), report=lines.append)
    return SmallRun(result.run.path, result, lines)


def assert_ends_as(run: SmallRun, other: SmallRun, tolerance=1e-6, of_variance=None) -> None:
    """The same weights, history and test error."""
    weights, expected = run.weights(), other.weights()
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        most = of_variance if of_variance and "moving_variance" in name else tolerance
        np.testing.assert_allclose(value, expected[name], atol=most, rtol=most, err_msg=name)
    for epoch, wanted in zip(run.history(), other.history(), strict=True):
        assert epoch == pytest.approx(wanted, abs=10 * tolerance, rel=1e-6)
    assert run.metrics["test_error"] == pytest.approx(other.metrics["test_error"], abs=tolerance)


def difference(run: SmallRun, other: SmallRun) -> float:
    """The largest of all weights."""
    expected = other.weights()
    return max(np.abs(value - expected[name]).max() for name, value in run.weights().items())


@contextlib.contextmanager
def at_each_step(act):
    """Inside, `act(checkpointing)` comes at the end of each step, before anything is saved for it."""
    original = Checkpointing.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        act(self)
        original(self, batch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpointing, "on_train_batch_end", on_train_batch_end)
        yield


class Death(Exception):
    """Stands in for a kill."""


@contextlib.contextmanager
def death_at(step: int | None):
    """What is inside dies right after this step, or without one after the last epoch, before the test."""

    def die(self, *arguments):
        if step is None or self.history.step == step:
            raise Death

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Death):
        if step is None:
            patch.setattr(Session, "finish", die)
        with contextlib.nullcontext() if step is None else at_each_step(die):
            yield


def write_photograph(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype="uint8")
    Image.fromarray(coarse).resize((40, 30)).save(path)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    network.build_model = build_network
    sys.argv[0] = "train.py"
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
