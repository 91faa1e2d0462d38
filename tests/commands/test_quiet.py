"""What libraries would write to the terminal: of TensorFlow's start, and of odd images and names."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from attention_keras import build_model
from attention_keras.commands.command_line import exit_code
from attention_keras.commands.main import main
from attention_keras.errors import UserError

NAMES = ["日本語", "кот", "🐈"]  # the first and the last are in no font of Matplotlib's
NO_ENTRIES = b"II*\0\x08\0\0\0\x05\0no entries"
START = "import sys; from attention_keras.commands import command_line; command_line.import_tensorflow()\n"


def test_nothing_about_the_machine_unless_the_import_fails(tmp_path):
    unset = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}

    def start(code, **environment):
        program = [sys.executable, "-c", START + code]
        return subprocess.run(program, capture_output=True, text=True, env=unset | environment)

    done = start("import tensorflow as tf; print(float(tf.constant(2.0))); print('ours', file=sys.stderr)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2.0\n", "ours\n")
    (tmp_path / "tensorflow.py").write_text("import os\nos.write(2, b'lacks\\n')\nraise ImportError('none')")
    failed = start("", PYTHONPATH=str(tmp_path))
    assert failed.returncode == 1 and failed.stderr.startswith("lacks\n") and "none" in failed.stderr


def test_another_backend_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    (tmp_path / "a.png").touch()
    for command in ("train", "evaluate runs/r", "predict r a.png", "export r", "reproduce digits"):
        with pytest.raises(UserError, match="runs on TensorFlow, and KERAS_BACKEND is jax; unset that"):
            main(command.split())
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_predict_says_nothing_of_odd_images_and_names(tmp_path, monkeypatch, capfd):
    """Sixteen of each kind, so that several threads have some."""
    monkeypatch.chdir(tmp_path)
    for folder in ("run", "new"):
        (tmp_path / folder).mkdir()
    model = build_model("vgg-att2-concat-dp", num_classes=3, width=0.03, init="keras")
    model.class_names = NAMES
    model.save("run/model.keras")
    pixels = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype="uint8"))
    for number in range(16):
        pixels.quantize(9).save(f"new/{number}.png", transparency=bytes(range(9)))
        pixels.save(f"new/{number}.jpg", exif=b"Exif\0\0" + NO_ENTRIES)
        (tmp_path / "new" / f"{number}.tiff").write_bytes(NO_ENTRIES)
    assert exit_code(lambda: main(["predict", "run", "new", "--batch-size", "16"])) == 0
    assert capfd.readouterr().err == "warning: 16 files could not be read; their rows say why\n"
    assert len(os.listdir("predictions/pictures")) == 32
