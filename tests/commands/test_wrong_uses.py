"""Mistakes at the command line: one clear line, exit code 2, nothing left behind."""

from attention_keras.commands.command_line import exit_code
from attention_keras.commands.main import main

CASES = {
    "train --dataset cifar11": "cifar11",
    "train --model vgg-att9-pc": "unknown model",
    "train --epoch 3": "perhaps you meant --epochs",
    "train --epochs -3": "--epochs must be 0 or more",
    "train --run-dir file --limit 20": "cannot write",
    "train --backbone keras:MobileNetV9": "keras.applications has no 'MobileNetV9'",
    "train --export file --name x": "cannot write to file/x: Not a directory; choose another folder",
    "evaluate maps r --pgd-steps 3": "Unrecognized options: --pgd-steps",
    "evaluate colours runs/r": "colours is no task and no run; tasks: classification, maps, ",
    "export file --format tflite": "invalid choice 'tflite'",
    "predict model.keras": "no image was given",
    "predict model.keras missing.png": "there is no file or folder missing.png",
    "predict model.keras empty": "no images in empty; endings that are read: .",
    "predict model.keras file --overview --no-pictures": "--overview shows drawings; leave out --no-pictures",
    "predict model.keras file --shard 4/3": "--shard must be 1/16 to 16/16, or the like; got '4/3'",
    "reproduce imagenet": "table must be one of digits, ",
    "trian": "unknown command 'trian'; allowed: train, evaluate",
}


def test_one_line_and_exit_code_2(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("a file")
    (tmp_path / "empty").mkdir()
    before, wrong = sorted(tmp_path.rglob("*")), {}
    for line, said in CASES.items():
        code = exit_code(lambda words=line: main(words.split()))
        lines = [text for text in capfd.readouterr().err.splitlines() if text.startswith("error: ")]
        left = sorted(tmp_path.rglob("*"))
        if code != 2 or len(lines) != 1 or said not in lines[0] or left != before:
            wrong[line] = (code, lines, left)
    assert not wrong
