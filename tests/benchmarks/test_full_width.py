"""Full-width training with JAX does what the TensorFlow trainer does, and goes on where it was killed."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from attention_keras import build_model
from attention_keras.data.datasets import load_dataset
from attention_keras.errors import UserError
from attention_keras.layers.preprocess import build_preprocess
from attention_keras.runs.recipes import MODERN, find_recipe
from attention_keras.training.optimizers import build_optimizer
from benchmarks.full_width import parts, weights
from benchmarks.full_width.saved_state import save_state
from benchmarks.full_width.setting import Budget

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "training" / "small_network.py"
PROGRAM = Path(__file__).parent / "full_width_on_jax.py"
RATE, DECAY, SMOOTHING, BATCH = 0.05, 5e-4, 0.1, 16


def on_jax(*words):
    """Run the program beside this file with Keras on JAX; what it prints, on either stream."""
    pytest.importorskip("jax")
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    environment.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")  # compiles sooner
    done = subprocess.run(
        [sys.executable, PROGRAM, *map(str, words)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def pixels():
    split = load_dataset("cluttered_digits", limit=100).train
    return np.asarray(split.images[:]), np.asarray(split.labels, "int32")


@pytest.mark.parametrize(
    ("name", "steps"),
    [("small", 1), ("small", 4), pytest.param("vgg", 1, marks=pytest.mark.slow)],
)
def test_steps_are_the_tensorflow_trainers(name, steps, pixels, tmp_path):
    images, labels = (array[:BATCH] for array in pixels)
    # Many layers of two channels would turn the last bit of a sum into another sign behind a ReLU.
    options = {"width": 0.0625, "dropout": False, "init": "keras"}
    options["preprocess"] = build_preprocess("none", images)
    keras.utils.set_random_seed(3)
    build = runpy.run_path(str(SMALL))["build_small_network"] if name == "small" else build_model
    model = build(name, images.shape[1:], 10, **options)
    model.compile(
        build_optimizer("nesterov", RATE, DECAY),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING),
    )
    path = tmp_path / "given.npz"
    given = {f"weight{place:03d}": value for place, value in enumerate(model.get_weights())}
    np.savez(path, images=images, labels=labels, steps=steps, **given)
    before = model.get_weights()
    for _ in range(steps):
        model.reset_metrics()
        loss = model.train_on_batch(images.astype("float32"), np.eye(10, dtype="float32")[labels])
    on_jax("steps", name, path, 0)
    with np.load(path) as file:
        found = [file[f"arr_{place}"] for place in range(len(given))]
        assert file["loss"] == pytest.approx(loss, abs=1e-4)
    changes = [np.abs(new - old).max() for new, old in zip(model.get_weights(), before, strict=True)]
    assert max(changes) > 1e-3
    for ours, theirs in zip(found, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.fixture(scope="module")
def data(pixels, tmp_path_factory):
    """The parts of 100 training images and 40 test images."""
    folder = tmp_path_factory.mktemp("data")
    images, labels = pixels
    parts.write_parts({"train": (images, labels), "test": (images[:40], labels[:40])}, folder)
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    table = on_jax("train", data, folder)
    return folder, table


def lines_of(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_a_training_learns_and_says_what_it_did(trained):
    folder, table = trained
    start, *epochs, end = lines_of(folder)
    assert [line["epoch"] for line in epochs] == [1, 2, 3, 4]
    assert epochs[-1]["loss"] < epochs[0]["loss"]
    assert start["epoch_seconds"] > 0
    assert end["utilisation"] == pytest.approx(end["tflops"] * 1e12 / 1e11, abs=2e-3)  # of the peak given
    assert end["images_per_second"] == pytest.approx(4 * 80 / end["training_seconds"], rel=0.01)
    assert end["epochs"] == 4 and 0 <= end["test_error"] <= 1
    assert f"| {end['validation_error']:.2%} | {end['test_error']:.2%} |" in table
    assert not list(folder.glob("*.state.npz"))


def test_what_is_finished_is_not_trained_again(trained, data, tmp_path):
    folder, table = trained
    shutil.copytree(folder, tmp_path / "again")
    said = on_jax("train", data, tmp_path / "again")
    assert "vgg, seed 0, is finished in" in said
    assert [line for line in said.splitlines() if line.startswith("| vgg")] == [
        line for line in table.splitlines() if line.startswith("| vgg")
    ]
    assert lines_of(tmp_path / "again") == lines_of(folder)


def test_another_trainings_state_is_refused_before_any_network_is_built(trained, data, tmp_path):
    given = lines_of(trained[0])[-1]["conditions"]
    about = {"conditions": given | {"epochs": 8, "validation": 10}, "done": 1, "epochs": 8}
    save_state(tmp_path / "vgg-s0.state.npz", [], about)
    said = on_jax("train", data, tmp_path)
    assert "is of another training (epochs 8 -> 4, validation 10 -> 20); choose another --output" in said
    assert not (tmp_path / "results.jsonl").exists()


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_weights(trained, data, tmp_path):
    assert "stopped" in on_jax("train", data, tmp_path, 2)
    assert (tmp_path / "vgg-s0.state.npz").exists()
    on_jax("train", data, tmp_path)
    assert lines_of(tmp_path)[-1]["test_error"] == lines_of(trained[0])[-1]["test_error"]
    found, expected = (weights.load_weights(folder / "vgg-s0") for folder in (tmp_path, trained[0]))
    for ours, whole in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, whole)


def test_parts_keep_every_bit(pixels, tmp_path):
    images, labels = pixels
    many = np.concatenate([images] * 6), np.concatenate([labels] * 6)  # 600: a block and a short one
    assert len(parts.write_parts({"train": many, "test": pixels}, tmp_path, largest=1)) == 3
    found = parts.read_parts(tmp_path)
    np.testing.assert_array_equal(found.train[0], many[0])
    np.testing.assert_array_equal(found.train[1], many[1])
    np.testing.assert_array_equal(found.test[0], images)
    assert found.num_classes == 10
    (tmp_path / "part0.npz").unlink()
    with pytest.raises(UserError, match="has not all parts"):
        parts.read_parts(tmp_path)


def test_a_smaller_dataset_leaves_nothing_of_a_larger_one(pixels, tmp_path):
    images, labels = pixels
    many = np.concatenate([images] * 6), np.concatenate([labels] * 6)
    assert len(parts.write_parts({"train": many, "test": many}, tmp_path, largest=1)) == 4
    assert len(parts.write_parts({"train": pixels, "test": (images[:40], labels[:40])}, tmp_path)) == 1
    found = parts.read_parts(tmp_path)
    assert (len(found.train[0]), len(found.test[0])) == (100, 40)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        # Images 500 to 599 of train, whose lack the numbers of the others do not show.
        (lambda ours, theirs: (ours / "part1.npz").unlink(), "has not all parts"),
        (lambda ours, theirs: (theirs / "part1.npz").rename(ours / "part1.npz"), "has parts of 2 datasets"),
        (lambda ours, theirs: (theirs / "part0.npz").rename(ours / "part7.npz"), "has parts of 2 datasets"),
        (lambda ours, theirs: [without_digest(path) for path in ours.glob("*")], "an earlier version's"),
        (lambda ours, theirs: without_digest(ours / "part1.npz"), "has parts of 2 datasets"),
    ],
)
def test_parts_that_are_no_whole_dataset_are_refused(spoil, said, pixels, tmp_path):
    images, labels = pixels
    many = np.concatenate([images] * 6), np.concatenate([labels] * 6)
    for name, answers in (("ours", many[1]), ("theirs", (many[1] + 1) % 10)):
        parts.write_parts({"train": (many[0], answers), "test": pixels}, tmp_path / name, largest=1)
    spoil(tmp_path / "ours", tmp_path / "theirs")
    with pytest.raises(UserError, match=said):
        parts.read_parts(tmp_path / "ours")


def without_digest(path):
    """The part as an earlier version wrote it."""
    with np.load(path) as file:
        np.savez(path, **{name: file[name] for name in file.files if name != "digest"})


def test_weights_in_several_files_come_back_rounded(tmp_path):
    model = build_model("vgg-att1-dp", width=0.03, init="keras")
    paths = weights.save_weights(model, tmp_path / "net", largest=20_000)
    assert len(paths) > 2
    for ours, exact in zip(
        weights.load_weights(tmp_path / "net").get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_allclose(ours, exact, rtol=2**-8)
    paths[1].unlink()
    with pytest.raises(UserError, match="a file is missing"):
        weights.load_weights(tmp_path / "net")


def test_weights_of_an_earlier_training_and_a_saved_state_do_not_get_among_weights(tmp_path):
    wide, narrow = (build_model("vgg-att1-dp", width=width, init="keras") for width in (0.06, 0.03))
    assert len(weights.save_weights(wide, tmp_path / "net", largest=20_000)) > 1
    save_state(tmp_path / "net.state.npz", [np.zeros(3, "float32")] * 4, {})
    assert weights.save_weights(narrow, tmp_path / "net") == [tmp_path / "net.0.npz"]
    found = weights.load_weights(tmp_path / "net").get_weights()
    assert [array.shape for array in found] == [array.shape for array in narrow.get_weights()]
    assert (tmp_path / "net.state.npz").exists()


def test_a_time_gives_a_number_of_epochs():
    assert Budget(None, 90).epochs_of(2.6) == 34
    assert Budget(None, 1).epochs_of(2.6) == 1
    assert Budget(30, 1).epochs_of(2.6) == 30


def test_the_recipe_is_the_trainers_too():
    assert find_recipe("modern", "cifar10", "vgg") == MODERN
    assert find_recipe("modern", "svhn", "vgg").augment == "crop_reflect+cutout"
