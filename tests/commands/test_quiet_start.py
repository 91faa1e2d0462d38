"""What reaches the terminal when TensorFlow starts, and when it may not."""

import os
import subprocess
import sys

import pytest

from attention_keras.commands.main import main
from attention_keras.errors import UserError

START = (
    "import sys; from attention_keras.commands.quiet_start import import_tensorflow; import_tensorflow(); "
)


def start(code, path="", **environment):
    unset = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    environment = unset | {"PYTHONPATH": str(path)} | environment
    return subprocess.run(
        [sys.executable, "-c", START + code], capture_output=True, text=True, env=environment
    )


def test_nothing_about_the_machine_unless_it_is_asked_for_or_the_import_fails(tmp_path):
    done = start("import tensorflow as tf; print(float(tf.constant(2.0))); print('ours', file=sys.stderr)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2.0\n", "ours\n")
    asked = start("print('tensorflow' in sys.modules)", TF_CPP_MIN_LOG_LEVEL="0")
    assert asked.stdout == "False\n"
    (tmp_path / "tensorflow.py").write_text(
        "import os\nos.write(2, b'a library is missing\\n')\nraise ImportError('no tensorflow')"
    )
    failed = start("", path=tmp_path)
    assert failed.returncode == 1
    assert failed.stderr.startswith("a library is missing\n") and "no tensorflow" in failed.stderr


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
