"""`attention-keras train`: what would fail after the training is refused before it."""

import json

import pytest

from attention_keras.commands import train
from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.serving.versions import CARD_FILE


def test_a_run_that_was_exported_before_needs_no_writable_folder(tmp_path, monkeypatch):
    def begin(config, report):
        raise InterruptedError

    def full(*unused, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("attention_keras.training.train.train", begin)
    monkeypatch.setattr("tempfile.TemporaryDirectory", full)
    monkeypatch.chdir(tmp_path)
    run = Run("runs/x")
    with run.writing(RunConfig()):
        run.write_metrics({})
    card = tmp_path / "saved_models" / "x" / "1" / CARD_FILE
    card.parent.mkdir(parents=True)
    for owner, kind, said in ((run.id, InterruptedError, None), ("other", UserError, "x: No space left on")):
        card.write_text(json.dumps({"run": owner}))
        with pytest.raises(kind, match=said):
            train.main(["--name", "x"], "train")
