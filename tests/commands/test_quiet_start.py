"""What reaches the terminal when TensorFlow starts, and when it may not."""

import os
import subprocess
import sys

import pytest

from attention_keras.commands.main import main
from attention_keras.errors import UserError

START = "from attention_keras.commands.quiet_start import import_tensorflow; import_tensorflow(); "


def start(code="", path="", before=START, **environment):
    unset = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", before + code]
    return subprocess.run(
        command, capture_output=True, text=True, env=unset | {"PYTHONPATH": str(path)} | environment
    )


def test_nothing_about_the_machine():
    done = start(
        "import sys, tensorflow as tf; print(float(tf.constant(2.0))); print('ours', file=sys.stderr)"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "2.0\n", "ours\n")


def test_a_failing_import_says_all(tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "import os\nos.write(2, b'a library is missing\\n')\nraise ImportError('no tensorflow')"
    )
    done = start(path=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("a library is missing\n") and "no tensorflow" in done.stderr


def test_who_asks_for_the_notes_gets_them(tmp_path):
    done = start("import sys; print('tensorflow' in sys.modules)", TF_CPP_MIN_LOG_LEVEL="0")
    assert done.stdout == "False\n"


def test_another_backend_is_refused_where_there_is_something_to_compute(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    (tmp_path / "a.png").touch()
    commands = [
        "train",
        "evaluate runs/a",
        "predict runs/a a.png",
        "export runs/a",
        "list-models",
        "reproduce digits",
    ]
    for command in commands:
        with pytest.raises(
            UserError, match="runs on TensorFlow, and KERAS_BACKEND is jax; unset that variable"
        ):
            main(command.split())
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    for command in ("--version", "reproduce"):
        assert main([command]) == 0 and capsys.readouterr().out
