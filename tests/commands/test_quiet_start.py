"""What reaches the terminal when TensorFlow starts."""

import os
import subprocess
import sys

START = "from attention_keras.commands.quiet_start import import_tensorflow; import_tensorflow(); "


def start(code="", path="", **environment):
    unset = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", START + code]
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
