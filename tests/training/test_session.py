"""train(): a complete run directory, exact resume, one writer at a time."""

import os
import re
import shutil
import signal
from pathlib import Path

import keras
import numpy as np
import pytest
from small_runs import EPOCHS, PLAIN, STEPS, death_at, trained

from attention_keras.data.datasets import load_dataset
from attention_keras.errors import UserError
from attention_keras.models.classifier import Classifier
from attention_keras.runs.directory import Run
from attention_keras.runs.model_file import load_model
from attention_keras.training.calibrate import fit_temperature
from attention_keras.training.checkpoint import Checkpointing, Interrupted, load_newest


def test_a_run_directory_is_complete(plain_run):
    files = "config.json history.jsonl metrics.json labels.txt model.keras best.keras checkpoints tensorboard"
    assert set(files.split()) <= {path.name for path in plain_run.path.iterdir()}
    history, metrics, dataset = (
        plain_run.history(),
        plain_run.metrics,
        load_dataset("cluttered_digits", limit=75),
    )
    assert [line["step"] for line in history] == [STEPS, 2 * STEPS, 3 * STEPS]
    assert history[-1]["images_seen"] == 75 * EPOCHS
    assert not any("off_object" in name for name in history[0])
    assert metrics["test_error"] + metrics["test_accuracy"] == 1
    assert metrics["steps"] == EPOCHS * STEPS
    assert (plain_run.path / "labels.txt").read_text().splitlines() == list(dataset.class_names)
    assert Run.open(plain_run.path).config == plain_run.result.config
    # The file is of one input and not compiled, as build_model made it.
    model = load_model(plain_run.path)
    assert isinstance(model, Classifier) and isinstance(model.input, keras.KerasTensor)
    assert not model.compiled
    logits = model.predict(np.asarray(dataset.validation.images[:], "float32"), verbose=0)["logits"]
    expected = fit_temperature(logits, np.asarray(dataset.validation.labels))
    assert expected != 1 and plain_run.result.run.temperature == pytest.approx(expected, rel=1e-3)


def test_a_person_reads_the_speed_and_the_time_left(plain_run):
    found = [re.search(r"([\d,.]+) images/s  (\d+) s left$", line) for line in plain_run.lines]
    found = [match for match in found if match]
    recorded = [record["images_per_second"] for record in plain_run.result.run.history()]
    assert [float(match[1].replace(",", "")) for match in found] == pytest.approx(recorded, rel=0.1, abs=0.6)
    assert int(found[0][2]) == pytest.approx(2 * 75 / recorded[0], abs=1) and int(found[-1][2]) == 0


def test_a_finished_run_says_so_and_is_not_trained_again(plain_run):
    # Where and how it is carried out may change.
    again = trained(PLAIN, plain_run.path.parent, checkpoint_every=5, data_dir="elsewhere")
    assert again.metrics == plain_run.metrics and "finished already" in again.lines[0]
    with pytest.raises(UserError, match=r"epochs 3 -> 4.*`restart`"):
        trained(PLAIN, plain_run.path.parent, epochs=4)


def test_ctrl_c_saves_within_a_step_and_says_130(tmp_path, monkeypatch):
    original = Checkpointing.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        if self.history.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        original(self, batch, logs)

    monkeypatch.setattr(Checkpointing, "on_train_batch_end", on_train_batch_end)
    with pytest.raises(Interrupted) as stopped:
        trained(PLAIN, tmp_path)
    assert stopped.value.exit_code == 130
    assert load_newest(tmp_path / "run" / "checkpoints").step == 3


@pytest.mark.slow
def test_it_begins_from_a_run_and_goes_on_when_that_run_has_moved(plain_run, tmp_path):
    source = shutil.copytree(plain_run.path, tmp_path / "source")
    child = PLAIN.replace(init_from=f"{source}/", epochs=1, learning_rate=1e-9, seed=1)
    with death_at(4):
        trained(child, tmp_path)
    source.rename(tmp_path / "archive")
    weights, expected = trained(child, tmp_path).weights(), plain_run.weights()
    for name, value in weights.items():
        if "moving" not in name:
            np.testing.assert_allclose(value, expected[name], atol=1e-6, err_msg=name)
    with pytest.raises(UserError, match="source"):
        trained(child, tmp_path, restart=True)


def test_what_is_not_finite_stops_the_run_and_is_not_kept(tmp_path):
    """A step's loss is of the weights before its update, so a checkpoint of that step may hold worse ones."""
    huge = PLAIN.replace(optimizer="sgd", schedule="constant", learning_rate=1e38, checkpoint_every=1)
    with pytest.raises(UserError, match=r"a weight is not finite at step|the loss is"):
        trained(huge, tmp_path)
    if kept := load_newest(tmp_path / "run" / "checkpoints"):
        assert all(np.isfinite(array).all() for array in kept.of_model.values())


def test_an_output_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "run").write_text("a file")
    with pytest.raises(UserError, match="run"):
        trained(PLAIN, tmp_path)
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match="run"):
        trained(PLAIN, tmp_path / "readonly")
    assert not (tmp_path / "readonly").exists()
