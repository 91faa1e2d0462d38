"""`attention-keras export`: a finished run to a version, and one line where that cannot be."""

import re
import sys

from attention_keras import build_model
from attention_keras.commands.command_line import exit_code
from attention_keras.commands.export import main
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run

NAMES = ["zero", "one", "two"]


def test_the_command_line(tmp_path, capsys, monkeypatch):
    run = tmp_path / "runs" / "digits"
    run.mkdir(parents=True)
    build_model("vgg-att2-concat-pc", num_classes=3, width=0.05).save(run / "model.keras")
    options = RunConfig()
    with Run(run).writing(options):
        pass
    command = [str(run), "--to", str(tmp_path / "out")]

    def export():
        return exit_code(lambda: main(command, "attention-keras export"))

    assert export() == 2
    assert "is not a finished run" in capsys.readouterr().err
    (run / "metrics.json").write_text('{"test_error": 0.25}')
    (run / "labels.txt").write_text("\n".join(NAMES))
    command += ["--version", "4"]
    assert export() == 0
    line = rf"saved_model: {tmp_path}.*digits/4, \d\.\d MB, probabilities differ .* \de[-+]\d+\n"
    assert re.fullmatch(line, capsys.readouterr().out)
    assert export() == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "4 exists already" in said
    monkeypatch.setitem(sys.modules, "tf2onnx", None)  # as if it were not installed
    command[1:] = ["--format", "onnx"]
    assert export() == 2
    assert "the format onnx needs tf2onnx, which is not installed; pip install" in capsys.readouterr().err
