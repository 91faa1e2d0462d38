"""Run: what lies in the folder, who may write, and what moving, copying and old folders do to it."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from attention_keras import load_model
from attention_keras.errors import UserError
from attention_keras.runs.directory import Run
from attention_keras.runs.options import TrainOptions

OLD = Path(__file__).parent / "version_0_1"


@pytest.fixture
def run(tmp_path):
    options = TrainOptions.of(epochs=3, data_dir="data", run_dir=str(tmp_path), name="first")
    run = Run(options.run_path)
    with run.writing(options.resolve(), options.machine):
        run.write_class_names(["cat", "a dog"])
        run.write_history([{"epoch": 1, "val_accuracy": 0.5}])
    return run


def test_what_was_written_is_read(run):
    again = Run.open(run.path)
    assert (again.name, again.config.recipe.epochs, again.data_dir) == ("first", 3, "data")
    assert again.class_names() == ["cat", "a dog"]
    assert again.history() == [{"epoch": 1, "val_accuracy": 0.5}]
    assert not again.is_finished
    with pytest.raises(UserError, match="is not a finished run"):
        again.metrics()
    run.write_metrics({"test_error": 0.25})
    assert again.is_finished and again.metrics() == {"test_error": 0.25}


def test_a_moved_run_is_the_same_and_a_restarted_one_is_another(run, tmp_path):
    first = run.id
    assert len(first) == 32
    shutil.copytree(run.path, tmp_path / "copy")
    run.path.rename(tmp_path / "moved")
    moved = Run.open(tmp_path / "moved")
    assert moved.name == "moved" and moved.id == first == Run.open(tmp_path / "copy").id
    options = TrainOptions.of(epochs=3, run_dir=str(tmp_path), name="moved")
    with moved.writing(options.resolve(), options.machine):
        assert moved.id == first
    assert moved.class_names() == ["cat", "a dog"]
    with moved.writing(options.resolve(), options.replace(restart=True).machine):
        assert moved.id != first
    assert moved.history() == []


def test_another_config_is_refused(run):
    run.refuse_another(TrainOptions.of(epochs=3, keep=9).resolve())
    with pytest.raises(UserError, match=r"holds another run \(epochs 3 -> 4\); .*--restart"):
        run.refuse_another(TrainOptions.of(epochs=4).resolve())


def test_two_writers_are_not_let_in(run):
    options = TrainOptions.of(epochs=3)
    second = Run(run.path).writing(options.resolve(), options.machine)
    with run.writing(options.resolve(), options.machine), pytest.raises(UserError, match="another process"):
        second.__enter__()


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format": 2}', b'{"format": 2, "config": 3}'],
)
def test_a_broken_config_file_is_one_line(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError) as raised:
        Run.open(tmp_path)
    assert "config.json" in str(raised.value) and "\n" not in str(raised.value)


def test_what_is_no_run_says_so(tmp_path):
    with pytest.raises(UserError, match=r"is not a run: it has no config\.json"):
        Run.open(tmp_path)


def test_a_finished_run_of_version_0_1_is_read():
    old = Run.open(OLD)
    assert old.is_finished and old.config.model.name == "vgg-att1-pc"
    assert old.metrics()["test_images"] == 12
    assert old.class_names()[:2] == ["zero", "one"] and len(old.history()) == 2
    assert old.id == Run.open(OLD).id


def test_a_model_of_version_0_1_loads_with_its_numbers():
    """Its batch normalisation was a layer of the package; its error is in the metrics."""
    from attention_keras.data.datasets import load_dataset

    model = load_model(OLD)
    norms = [layer for layer in model.layers if "norm" in layer.name]
    assert norms and all(isinstance(layer, keras.layers.BatchNormalization) for layer in norms)
    assert max(float(np.abs(layer.moving_mean).max()) for layer in norms) > 0.01  # trained, and loaded
    test = load_dataset("cluttered_digits", limit=60).test()
    logits = np.asarray(model(test.images.astype("float32"))["logits"])
    assert np.mean(logits.argmax(-1) != test.labels) == pytest.approx(Run.open(OLD).metrics()["test_error"])


def test_an_unfinished_run_of_version_0_1_goes_on(tmp_path):
    """Its tensors have numbers for names. Two of eight steps are left; the end is that of version 0.1."""
    from attention_keras.training.train import train

    shutil.copytree(OLD, tmp_path / "old")
    for name in ("metrics.json", "model.keras"):
        (tmp_path / "old" / name).unlink()
    next((tmp_path / "old" / "checkpoints").glob("000000008.*")).unlink()
    options = TrainOptions.of(
        model="vgg-att1-pc", limit=60, width=0.01, batch_size=16, dropout=True, epochs=2, panels=0,
        run_dir=str(tmp_path), name="old",
    )  # fmt: skip
    said = []
    result = train(options, report=said.append)
    assert "resuming at step 6 of 8" in said
    assert result.config.precision == "float32" and result.metrics["steps"] == 8
    for new, old in zip(
        load_model(tmp_path / "old").get_weights(), load_model(OLD).get_weights(), strict=True
    ):
        np.testing.assert_allclose(new, old, atol=2e-3)
    assert json.loads((tmp_path / "old" / "config.json").read_text())["format"] == 2
