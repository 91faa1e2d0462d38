"""Full-width training with JAX takes the steps of the TensorFlow trainer; what is finished stays.

As a program it takes the steps, in a process whose Keras runs on JAX.
"""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest

from attention_keras import load_model
from attention_keras.data.datasets import load_dataset
from benchmarks import image_file

ROOT = Path(__file__).parents[2]
RECIPE = {"width": 0.04, "dropout": False, "init": "keras", "preprocess": "none", "batch_size": 16}
RECIPE |= {"optimizer": "nesterov", "learning_rate": 0.02, "weight_decay": 5e-4, "label_smoothing": 0.1}
RECIPE |= {"augment": "none", "schedule": "constant", "ema": 0.8}
NAME, STEPS = "vgg-gap", 2


def on_jax(*words) -> subprocess.CompletedProcess:
    pytest.importorskip("jax")
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    environment["XLA_FLAGS"] = "--xla_backend_optimization_level=1"  # compiles sooner
    return subprocess.run([sys.executable, *map(str, words)], env=environment, capture_output=True, text=True)


def take_steps(path: str) -> None:
    """In the file: weights, images and labels; then, the average of the weights after the steps."""
    from benchmarks.jax_training import Batches, build, fit

    given = dict(np.load(path))
    model, trained = build(NAME, RECIPE, given["images"], 10, 0, "float32")
    model.set_weights([given[key] for key in sorted(given) if key.startswith("weight")])
    fit(trained, Batches(given["images"], given["labels"], 10, 16, 0), RECIPE, STEPS, NAME)
    np.savez(path, *model.get_weights())


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 32, 32, 3), dtype="uint8"), np.arange(60, dtype="int32") % 10
    return {"images": images, "labels": labels, "test_images": images[:20], "test_labels": labels[:20]}


@pytest.mark.slow
def test_steps_are_the_tensorflow_trainers(data, tmp_path):
    from attention_keras.layers.preprocess import build_preprocess
    from attention_keras.models.zoo import build_model
    from attention_keras.training.optimizers import build_optimizer

    images, labels = data["images"][:16], data["labels"][:16]
    options = {key: RECIPE[key] for key in ("width", "dropout", "init")}
    model = build_model(NAME, (32, 32, 3), 10, preprocess=build_preprocess("none", images), **options)
    numbers = [RECIPE[key] for key in ("optimizer", "learning_rate", "weight_decay")]
    optimizer = build_optimizer(*numbers, ema=RECIPE["ema"])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=RECIPE["label_smoothing"])
    model.compile(optimizer, loss)
    path, before = tmp_path / "given.npz", model.get_weights()
    weights = {f"weight{place:03d}": value for place, value in enumerate(before)}
    np.savez(path, images=images, labels=labels, **weights)
    for _ in range(STEPS):
        model.train_on_batch(images.astype("float32"), np.eye(10, dtype="float32")[labels])
    optimizer.finalize_variable_values(model.trainable_variables)
    done = on_jax(__file__, path)
    assert done.returncode == 0, done.stderr[-4000:]
    found = np.load(path)
    assert max(np.abs(a - b).max() for a, b in zip(model.get_weights(), before)) > 1e-3
    for place, expected in enumerate(model.get_weights()):
        np.testing.assert_allclose(found[f"arr_{place}"], expected, atol=1e-4)


@pytest.mark.slow
def test_a_finished_training_stays_and_its_file_has_the_error_that_is_told(data, tmp_path):
    np.savez(tmp_path / "data.npz", name="cifar10", **data)
    words = (
        f"-m benchmarks.jax_training {tmp_path / 'data.npz'} --models {NAME} --precision float32 --epochs 2"
    )
    words = f"{words} --batch-size 16 --width 0.04 --validation 10 --output {tmp_path / 'trained'}".split()
    first = on_jax(*words)
    assert f"| {NAME} | 0 | 2 |" in first.stdout, first.stderr[-4000:]
    result = json.loads((tmp_path / "trained" / f"{NAME}-s0.json").read_text())
    images, labels = data["test_images"], data["test_labels"]
    logits = load_model(tmp_path / "trained" / f"{NAME}-s0.keras").predict(images, verbose=0)["logits"]
    assert result["test_error"] == pytest.approx(np.mean(logits.argmax(-1) != labels))
    assert on_jax(*words).stdout == first.stdout
    assert "is of another training" in on_jax(*words, "--learning-rate", "0.1").stderr


def test_a_file_has_every_image_and_the_validation_ones_last(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["image_file", "cluttered_digits", str(tmp_path / "digits.npz")])
    monkeypatch.setattr("attention_keras.data.datasets.load_dataset", partial(load_dataset, limit=60))
    image_file.main()
    found, dataset = dict(np.load(tmp_path / "digits.npz")), load_dataset("cluttered_digits", limit=60)
    held = len(dataset.validation)
    np.testing.assert_array_equal(found["images"][-held:], dataset.validation.images[:])
    np.testing.assert_array_equal(found["images"][:-held], dataset.train.images[:])
    np.testing.assert_array_equal(found["test_labels"], dataset.test().labels)


if __name__ == "__main__":
    take_steps(sys.argv[1])
