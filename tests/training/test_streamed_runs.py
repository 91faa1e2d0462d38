"""Training on pictures that stay in their files: it resumes exactly, and what happens to a file is told."""

import json

import keras
import numpy as np
import pytest
from deaths import death_at
from PIL import Image

from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig
from attention_keras.training.checkpointing import Checkpointing
from attention_keras.training.train import train

pytestmark = pytest.mark.usefixtures("small_network")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(60):
        file = folder / "ab"[number % 2] / f"{number}.jpg"
        file.parent.mkdir(exist_ok=True)
        coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype="uint8")
        Image.fromarray(coarse).resize((80, 60)).save(file)
    return folder


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory, small_network):
    """Train by the command's options; the run, and the lines that a person reads."""
    folder, patch = tmp_path_factory.mktemp("runs"), pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))

    def run(name, stream="on", **changes):
        patch.setenv("ATTENTION_KERAS_STREAM", stream)
        lines = []
        settings = {"image_size": 16, "batch_size": 8, "epochs": 2, "precision": "float32"}
        settings |= {"augment": "flip+resized_crop", "checkpoint_every": 2, "name": name}
        options = RunConfig(dataset=f"folder:{photos}", run_dir=str(folder), **settings | changes)
        return train(options, report=lines.append), "\n".join(lines)

    yield run
    patch.undo()


@pytest.fixture(scope="module")
def kept(run):
    """How a picture is read belongs to the machine and changes nothing that is learnt."""
    result, lines = run("kept", stream="off")
    assert "decoded from their files" not in lines
    return result


def weights(result):
    return keras.models.load_model(result.run.path / "model.keras", compile=False).get_weights()


def losses(result):
    lines = (result.run.path / "history.jsonl").read_text().splitlines()
    return [(line["step"], line["loss"], line["val_loss"]) for line in map(json.loads, lines)]


def assert_ends_as(result, whole):
    for one, other in zip(weights(result), weights(whole), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(losses(result), losses(whole), atol=1e-5)


def test_a_streamed_run_resumes_exactly_and_learns_what_a_kept_one_does(run, kept):
    with death_at(9):
        run("streamed")
    result, lines = run("streamed")
    assert "2 classes, decoded from their files in each epoch" in lines
    assert "resuming at step 8 of" in lines
    assert_ends_as(result, kept)


def test_a_picture_that_vanishes_during_training_ends_it_in_a_line(run, kept, photos, monkeypatch):
    original, elsewhere = Checkpointing.on_train_batch_end, photos.with_name("elsewhere")

    def take(self, batch, logs=None):
        if self.history.step == 1:
            photos.rename(elsewhere)
        original(self, batch, logs)

    told = r"/\d+\.jpg can no longer be read: No such file or directory; put it back$"
    with monkeypatch.context() as patch:
        patch.setattr(Checkpointing, "on_train_batch_end", take)
        with pytest.raises(UserError, match=told) as error:
            run("robbed", epochs=2, batch_size=4)
    assert "\n" not in str(error.value) and str(error.value).startswith(str(photos))
    elsewhere.rename(photos)


def test_crops_of_files_need_files():
    with pytest.raises(UserError, match=r"resized_crop is cut from image files, .* got cluttered_digits"):
        RunConfig(augment="resized_crop")
    with pytest.raises(UserError, match="augment resized_crop changes images alone; use flip, crop"):
        RunConfig(dataset="folder:x", augment="resized_crop", attend_to=1.0)
