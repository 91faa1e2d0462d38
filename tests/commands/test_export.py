"""`attention-keras export`: a finished run to a version, and one line where that cannot be."""

from attention_keras import build_model
from attention_keras.commands.command_line import exit_code
from attention_keras.commands.export import main
from attention_keras.runs.directory import Run
from attention_keras.runs.options import TrainOptions

NAMES = ["zero", "one", "two"]


def test_the_command_line(tmp_path, capsys):
    run = tmp_path / "runs" / "digits"
    run.mkdir(parents=True)
    build_model("vgg-att2-concat-pc", num_classes=3, width=0.05).save(run / "model.keras")
    options = TrainOptions()
    with Run(run).writing(options.resolve(), options.machine):
        pass
    command = [str(run), "--to", str(tmp_path / "out")]

    def export():
        return exit_code(lambda: main(command, "attention-keras export"))

    assert export() == 2
    assert "is not a finished run" in capsys.readouterr().err
    (run / "metrics.json").write_text('{"test_error": 0.25}')
    (run / "labels.txt").write_text("\n".join(NAMES))
    for version in ("1", "4"):
        assert export() == 0
        assert capsys.readouterr().out == f"exported to {tmp_path}/out/digits/{version}\n"
        command[3:] = ["--version", "4"]
    assert export() == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "4 exists already" in said
