"""train(): a complete run directory, exact resume, one writer at a time, early stopping, signals."""

import os
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from small_runs import EPOCHS, PLAIN, STEPS, assert_ends_as, at_each_step, death_at, difference, trained

from attention_keras.errors import UserError
from attention_keras.models.classifier import Classifier
from attention_keras.runs.directory import Run
from attention_keras.runs.model_file import load_model
from attention_keras.training.calibrate import fit_temperature
from attention_keras.training.callbacks import History
from attention_keras.training.checkpoint import Checkpointing, Interrupted, load_newest


def test_a_run_directory_is_complete(plain_run, dataset):
    files = "config.json history.jsonl metrics.json labels.txt model.keras best.keras checkpoints tensorboard"
    assert set(files.split()) <= {path.name for path in plain_run.path.iterdir()}
    history, metrics = plain_run.records(), plain_run.metrics
    assert [line["step"] for line in history] == [STEPS, 2 * STEPS, 3 * STEPS]
    assert history[-1]["images_seen"] == 75 * EPOCHS
    assert Run.open(plain_run.path).config == plain_run.result.config
    # The file is of one input and not compiled, as build_model made it.
    model = load_model(plain_run.path)
    assert isinstance(model, Classifier) and isinstance(model.input, keras.KerasTensor)
    assert not model.compiled
    validation = dataset.validation
    expected = fit_temperature(plain_run.logits(validation), np.asarray(validation.labels))
    assert expected != 1 and plain_run.result.run.temperature == pytest.approx(expected, rel=1e-3)
    # Where and how it is carried out may change.
    again = trained(PLAIN, plain_run.path.parent, checkpoint_every=5, data_dir="elsewhere")
    assert again.result.metrics == metrics and "finished already" in again.lines[0]


# The steps after which runs like these die; None is after the last epoch and before the test. The second
# stage of the fine-tuned one begins at step 10, with the average of the first.
DEATHS = {
    "plain_run": (1, 4, 5, 11),  # the first, and around the end of an epoch
    "full_run": (None,),
    "finetuned_run": (4, 11, 12, 14, 18, None),
    "fitted_run": (STEPS, None),
}


@pytest.mark.slow
@pytest.mark.parametrize("fixture", DEATHS)
def test_wherever_a_run_dies_the_same_command_ends_as_it_would_have(fixture, request, tmp_path):
    whole = request.getfixturevalue(fixture)
    for step in DEATHS[fixture]:
        with death_at(step):
            trained(whole.result.config, tmp_path / str(step))
        assert_ends_as(trained(whole.result.config, tmp_path / str(step)), whole)


@pytest.mark.slow
def test_a_streamed_run_learns_what_a_kept_one_does(folder_run, tmp_path, monkeypatch):
    assert not any("decoded from their files" in line for line in folder_run.lines)
    monkeypatch.setenv("ATTENTION_KERAS_STREAM", "on")
    with death_at(9):
        trained(folder_run.result.config, tmp_path)
    run = trained(folder_run.result.config, tmp_path)
    said = "\n".join(run.lines)
    assert "2 classes, decoded from their files in each epoch" in said and "resuming at step 8 of" in said
    assert_ends_as(run, folder_run)


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
    # Of other classes, the classifier starts anew.
    (tmp_path / "archive").rename(source)
    (source / "labels.txt").write_text("\n".join("abcdefghij"))
    assert difference(trained(child, tmp_path, name="other"), plain_run) > 0.1


def test_what_is_not_finite_stops_the_run_and_is_not_kept(tmp_path):
    """A step's loss is of the weights before its update, so a checkpoint of that step may hold worse ones."""
    huge = PLAIN.replace(optimizer="sgd", schedule="constant", learning_rate=1e38, checkpoint_every=1)
    with pytest.raises(UserError, match=r"a weight is not finite at step|the loss is"):
        trained(huge, tmp_path)
    if kept := load_newest(tmp_path / "run" / "checkpoints"):
        assert all(np.isfinite(array).all() for array in kept.of_model.values())


def history(accuracies=(), patience=0, frozen=0):
    found = History(SimpleNamespace(step_batch_size=1, patience=patience, frozen_epochs=frozen, epochs=9), 1)
    found.start(records=[{"epoch": n + 1, "val_accuracy": value} for n, value in enumerate(accuracies)])
    return found


def test_patience_counts_epochs_without_a_better_one():
    for accuracies, frozen, over in (
        ([], 0, False),
        ([0.5, 0.4], 0, False),
        ([0.5, 0.4, 0.5], 0, True),  # as good is not better
        ([0.5, 0.4, 0.6], 0, False),
        ([0.9, 0.4, 0.3, 0.3], 3, False),  # one epoch that counts, of the two
        ([0.9, 0.4, 0.3, 0.3, 0.2], 3, True),
    ):
        assert history(accuracies, 2, frozen).is_over == over, accuracies
        assert not history(accuracies, 0, frozen).is_over


def test_ctrl_c_saves_within_a_step_and_says_130(tmp_path):
    def stop(saving):
        if saving.history.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with at_each_step(stop), pytest.raises(Interrupted) as stopped:
        trained(PLAIN, tmp_path)
    assert stopped.value.exit_code == 130
    assert load_newest(tmp_path / "run" / "checkpoints").step == 3


def test_signals_of_one_moment_are_one_and_a_later_one_acts_at_once(monkeypatch):
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    for first in (signal.SIGINT, signal.SIGTERM):
        with monkeypatch.context() as patch, Checkpointing(None, Path(), history(), 1).listening():
            began = time.monotonic()
            # As `timeout` does, or a terminal and then the process that began this one.
            for number in (first, first, signal.SIGINT):
                signal.raise_signal(number)
            patch.setattr(time, "monotonic", lambda began=began: began + 60)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, earlier)
