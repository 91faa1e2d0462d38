"""`attention-keras train`: what would fail after the training is refused before it."""

import json

import pytest

from attention_keras.commands import train
from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.serving.versions import CARD_FILE


class Begun(Exception):
    pass


def test_a_run_that_was_exported_before_needs_no_writable_folder(tmp_path, monkeypatch):
    def begin(config, report):
        raise Begun

    def full(*unused, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("attention_keras.training.train.train", begin)
    monkeypatch.setattr("tempfile.TemporaryDirectory", full)
    monkeypatch.chdir(tmp_path)
    run = Run(tmp_path / "runs" / "x")
    run.path.mkdir(parents=True)
    with run.writing(RunConfig()):
        run.write_metrics({})
    card = tmp_path / "saved_models" / "x" / "1" / CARD_FILE
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"run": run.id}))
    with pytest.raises(Begun):
        train.main(["--name", "x"], "train")
    card.write_text(json.dumps({"run": "another"}))
    with pytest.raises(UserError, match="cannot write to saved_models/x: No space left on device"):
        train.main(["--name", "x"], "train")
