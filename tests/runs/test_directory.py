"""Run: what lies in the folder, who may write, and what moving, copying and old folders do to it."""

import shutil

import pytest

from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.runs.names import run_of


@pytest.fixture
def run(tmp_path):
    options = RunConfig(epochs=3, data_dir="data", run_dir=str(tmp_path), name="first")
    run = run_of(options)
    with run.writing(options):
        run.write_dataset(["cat", "a dog"], None)
        run.write_history([{"epoch": 1, "val_accuracy": 0.5}])
    return run


def test_what_was_written_is_read(run):
    again = Run.open(run.path)
    assert (again.name, again.config.epochs, again.config.data_dir) == ("first", 3, "data")
    assert again.class_names() == ["cat", "a dog"] and again.files() is None
    assert (run.path / "history.jsonl").read_text() == '{"epoch": 1, "val_accuracy": 0.5}\n'
    with pytest.raises(UserError, match="is not a finished run"):
        again.metrics()
    run.write_metrics({"test_error": 0.25})
    assert again.is_finished and again.metrics() == {"test_error": 0.25}


def test_a_moved_run_is_the_same_and_a_restarted_one_is_another(run, tmp_path):
    first = run.id
    shutil.copytree(run.path, tmp_path / "copy")
    run.path.rename(tmp_path / "moved")
    moved = Run.open(tmp_path / "moved")
    assert moved.name == "moved" and moved.id == first == Run.open(tmp_path / "copy").id
    options = RunConfig(epochs=3, run_dir=str(tmp_path), name="moved")
    for config, is_same in ((options, True), (options.replace(restart=True), False)):
        with moved.writing(config):
            assert (moved.id == first) == is_same == (moved.path / "history.jsonl").exists()


def test_two_writers_are_not_let_in(run):
    options = RunConfig(epochs=3)
    second = Run(run.path).writing(options)
    with run.writing(options), pytest.raises(UserError, match="another process"):
        second.__enter__()


def test_what_is_no_run_and_a_broken_config_file_is_one_line(tmp_path):
    broken = b'{"id": "a"}', b'{"id": 2, "config": {}}'
    for content in (None, b"", b"[]", b"{", b"null", b"\xff\xfe", b"[" * 100_000, *broken):
        if content is not None:
            (tmp_path / "config.json").write_bytes(content)
        with pytest.raises(UserError) as raised:
            _ = Run.open(tmp_path).id
        assert "config.json" in str(raised.value) and "\n" not in str(raised.value)
