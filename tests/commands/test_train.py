"""`attention-keras train`: what would fail after the training is refused before it."""

import json

import pytest

from attention_keras.commands import train as command
from attention_keras.commands.command_line import exit_code
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.serving.card import CARD_FILE


class Begun(Exception):
    pass


@pytest.fixture
def train(monkeypatch, tmp_path):
    """The command up to where training begins, as exit code."""

    def begin(config, report):
        raise Begun

    monkeypatch.setattr("attention_keras.training.train.train", begin)
    monkeypatch.chdir(tmp_path)
    return lambda *words: exit_code(lambda: command.main([*map(str, words)], "attention-keras train"))


def test_no_permission_is_refused_first(train, tmp_path, capsys, monkeypatch):
    (tmp_path / "locked").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != "locked")
    assert train("--export", "locked", "--name", "x") == 2
    assert "cannot write to locked/x: locked is not writable" in capsys.readouterr().err


def test_a_run_that_was_exported_before_needs_no_writable_folder(train, tmp_path, monkeypatch):
    run, options = Run(tmp_path / "runs" / "x"), RunConfig()
    run.path.mkdir(parents=True)
    with run.writing(options):
        run.write_metrics({})
    card = tmp_path / "saved_models" / "x" / "1" / CARD_FILE
    card.parent.mkdir(parents=True)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    for made_from, outcome in ((run.id, Begun), ("another", None)):
        card.write_text(json.dumps({"run": made_from}))
        if outcome:
            with pytest.raises(outcome):
                train("--name", "x")
        else:
            assert train("--name", "x") == 2
