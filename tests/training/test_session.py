"""train(): a complete run directory, exact resume, one writer at a time."""

import fcntl
import json
import re
import shutil

import keras
import numpy as np
import pytest
from deaths import death_at, death_before_the_test
from small_runs import EPOCHS, SMALL_RUN, STEPS, read_history

from attention_keras.data.datasets import load_dataset
from attention_keras.errors import UserError
from attention_keras.models.classifier import Classifier
from attention_keras.runs.directory import Run
from attention_keras.runs.model_file import load_model
from attention_keras.runs.names import run_of
from attention_keras.training.calibrate import fit_temperature
from attention_keras.training.checkpoint import checkpoint_files, load_checkpoint, load_newest
from attention_keras.training.checkpointing import Checkpointing, Interrupted
from attention_keras.training.train import train

pytestmark = pytest.mark.usefixtures("small_network")

OPTIONS = SMALL_RUN
GUIDED = OPTIONS.replace(attend_to=1.0, attend_to_fraction=0.5, augment="flip+crop")


@pytest.fixture
def config(tmp_path):
    return OPTIONS.replace(run_dir=str(tmp_path))


@pytest.fixture(scope="module")
def guided(tmp_path_factory, small_network):
    return train(GUIDED.replace(run_dir=str(tmp_path_factory.mktemp("runs"))), report=lambda line: None)


def options_of(result):
    return OPTIONS.replace(run_dir=str(result.run.path.parent))


def weights(path):
    return keras.models.load_model(path / "model.keras", compile=False).get_weights()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, small_network):
    options = OPTIONS.replace(run_dir=str(tmp_path_factory.mktemp("runs")))
    return train(options, report=lambda line: None)


def test_a_run_directory_is_complete(uninterrupted):
    path = uninterrupted.run.path
    names = {p.name for p in path.iterdir()}
    assert {
        "config.json",
        "history.jsonl",
        "metrics.json",
        "labels.txt",
        "model.keras",
        "best.keras",
        "checkpoints",
        "tensorboard",
    } <= names
    history = read_history(path)
    assert [line["step"] for line in history] == [STEPS, 2 * STEPS, 3 * STEPS]
    assert history[-1]["images_seen"] == 75 * EPOCHS
    metrics = json.loads((path / "metrics.json").read_text())
    assert metrics["test_error"] + metrics["test_accuracy"] == 1
    assert metrics["steps"] == EPOCHS * STEPS
    assert (path / "labels.txt").read_text().splitlines() == list(
        load_dataset("cluttered_digits", limit=5).class_names
    )
    assert Run.open(path).config == uninterrupted.config
    # The file is of one input and not compiled, as build_model made it.
    model = load_model(path)
    assert isinstance(model, Classifier) and isinstance(model.input, keras.KerasTensor)
    assert not model.compiled
    assert uninterrupted.config.image_size == 32 and uninterrupted.config.precision == "float32"


@pytest.mark.parametrize(
    ("options", "step"),
    [
        *((OPTIONS, step) for step in (1, 5, 8)),  # the first, the last of an epoch, the middle of one
        (GUIDED, 8),
        *(pytest.param(OPTIONS, step, marks=pytest.mark.slow) for step in (4, 11)),
        pytest.param(GUIDED, 4, marks=pytest.mark.slow),
    ],
)
def test_resume_after_a_crash_is_exact(options, step, tmp_path, uninterrupted, guided):
    config, whole_run = options.replace(run_dir=str(tmp_path)), guided if options is GUIDED else uninterrupted
    with death_at(step):
        train(config, report=lambda line: None)
    result = train(config, report=lambda line: None)
    assert result.metrics["steps"] == EPOCHS * STEPS
    for resumed, whole in zip(weights(result.run.path), weights(whole_run.run.path), strict=True):
        np.testing.assert_allclose(resumed, whole, atol=1e-6)
    for resumed, whole in zip(read_history(result.run.path), read_history(whole_run.run.path), strict=True):
        assert resumed == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize("options", [OPTIONS, GUIDED])
def test_a_run_that_died_with_nothing_left_to_train_is_tested_as_trained(
    options, tmp_path, uninterrupted, guided
):
    config, whole_run = options.replace(run_dir=str(tmp_path)), guided if options is GUIDED else uninterrupted
    with death_before_the_test():
        train(config, report=lambda line: None)
    result = train(config, report=lambda line: None)
    for resumed, whole in zip(weights(result.run.path), weights(whole_run.run.path), strict=True):
        np.testing.assert_allclose(resumed, whole, atol=1e-6)
    assert result.metrics["test_error"] == whole_run.metrics["test_error"]


def test_time_over_restarts(config, uninterrupted):
    config = config.replace(checkpoint_every=1)
    with death_at(4):
        train(config, report=lambda line: None)
    checkpoint = load_newest(run_of(config).checkpoints, print)
    assert checkpoint.step == 3
    result = train(config, report=lambda line: None)
    assert result.metrics["seconds"] > checkpoint.record["seconds"] > 0
    for resumed, whole in zip(weights(result.run.path), weights(uninterrupted.run.path), strict=True):
        np.testing.assert_allclose(resumed, whole, atol=1e-6)


def test_the_temperature_is_that_of_the_validation_images(uninterrupted):
    validation = load_dataset("cluttered_digits", limit=75).validation
    model = load_model(uninterrupted.run.model)
    logits = model.predict(np.asarray(validation.images[:], "float32"), verbose=0)["logits"]
    expected = fit_temperature(logits, np.asarray(validation.labels))
    assert expected != 1
    assert uninterrupted.run.temperature == pytest.approx(expected, rel=1e-3)


def test_a_finished_run_says_so_and_is_not_trained_again(uninterrupted):
    said = []
    again = train(options_of(uninterrupted), report=said.append)
    assert again.metrics == uninterrupted.metrics
    assert "finished already" in said[0]


def test_another_config_in_the_same_place_is_refused(uninterrupted):
    with pytest.raises(UserError, match=r"epochs 3 -> 4.*`restart`"):
        train(options_of(uninterrupted).replace(epochs=4))


def test_where_a_run_lives_may_change(uninterrupted):
    elsewhere = options_of(uninterrupted).replace(checkpoint_every=5, data_dir="elsewhere")
    assert train(elsewhere, report=len).metrics == uninterrupted.metrics


def test_a_second_trainer_is_refused_and_a_dead_ones_lock_is_not(config, tmp_path):
    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process"):
            train(config, report=lambda line: None)
    assert not (tmp_path / "run" / "config.json").exists()
    train(config.replace(epochs=1), report=lambda line: None)


def test_ctrl_c_saves_within_a_step_and_says_130(config, monkeypatch):
    import os
    import signal

    original = Checkpointing.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        if self.history.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        original(self, batch, logs)

    monkeypatch.setattr(Checkpointing, "on_train_batch_end", on_train_batch_end)
    with pytest.raises(Interrupted) as stopped:
        train(config, report=lambda line: None)
    assert stopped.value.exit_code == 130
    checkpoints = checkpoint_files(run_of(config).checkpoints)
    assert load_newest(checkpoints[0].parent).step == 3


def test_the_speed_of_epochs_of_one_step_is_known_and_the_time_left_follows(config):
    lines = []
    one_step = config.replace(batch_size=64, limit=60, epochs=3, name="one step")
    result = train(one_step, report=lines.append)
    found = [re.search(r"([\d,.]+) images/s  (\d+) s left$", line) for line in lines]
    speeds = [float(match[1].replace(",", "")) for match in found if match]
    assert len(speeds) == 3 and min(speeds) > 0
    recorded = [record["images_per_second"] for record in result.run.history()]
    assert speeds == pytest.approx(recorded, rel=0.1, abs=0.6)
    seconds = [int(match[2]) for match in found if match]
    assert seconds[0] == pytest.approx(2 * 60 / recorded[0], abs=1) and seconds[-1] == 0


def test_it_goes_on_when_the_run_that_it_began_from_has_moved(config, uninterrupted, tmp_path):
    source = shutil.copytree(uninterrupted.run.path, tmp_path / "source")
    config = config.replace(init_from=f"{source}/", name="child", seed=1)
    whole = train(config.replace(name="whole"), report=lambda line: None)
    with death_at(4):
        train(config, report=lambda line: None)
    source.rename(tmp_path / "archive")
    resumed = train(config, report=lambda line: None)
    for one, other in zip(weights(whole.run.path), weights(resumed.run.path), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(UserError, match="source"):
        train(config.replace(restart=True), report=lambda line: None)


def test_a_loss_that_is_not_finite_stops_the_run(config):
    """Also where the only step of an epoch has done it, which no later loss of that epoch tells."""
    huge = config.replace(optimizer="sgd", schedule="constant", learning_rate=1e30)
    with pytest.raises(UserError, match=r"the loss is .* at step"):
        train(huge, report=lambda line: None)
    one_step = huge.replace(batch_size=64, limit=60, name="one step")
    with pytest.raises(UserError, match=r"the validation loss is .* at step 1;"):
        train(one_step, report=lambda line: None)
    run = run_of(one_step)
    assert not run.model.exists() and not checkpoint_files(run.checkpoints)


def test_weights_that_are_not_finite_are_not_kept(config):
    """A step's loss is of the weights before its update, so a checkpoint of that step may hold worse ones."""
    huge = config.replace(optimizer="sgd", schedule="constant", learning_rate=1e38, checkpoint_every=1)
    with pytest.raises(UserError, match=r"a weight is not finite at step|the loss is"):
        train(huge, report=lambda line: None)
    for path in checkpoint_files(run_of(huge).checkpoints):
        arrays = load_checkpoint(path).arrays
        assert all(np.isfinite(array).all() for name, array in arrays.items() if name.startswith("model/"))


@pytest.mark.parametrize("place", ["file", "readonly"])
def test_an_output_that_cannot_be_written_leaves_nothing(config, tmp_path, place, monkeypatch):
    if place == "file":
        (tmp_path / "run").write_text("a file")
    else:
        from pathlib import Path

        def refuse(self, *args, **kwargs):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match="run"):
        train(config, report=lambda line: None)
    assert not (tmp_path / "run").is_dir()
