"""Mistakes at the command line: one clear line, exit code 2, nothing left behind."""

from attention_keras.commands.command_line import exit_code
from attention_keras.commands.main import main

CASES = {
    "train --dataset cifar11": "cifar11",
    "train --model vgg-att9-pc": "unknown model",
    "train --compat cosine": "'cosine' for argument '--compat'. Expected one of ('dp', 'pc', 'scaled'",
    "train --epoch 3": "perhaps you meant --epochs",
    "train --dataset cifar10 --data-dir nothing": "cifar10",
    "train --epochs -3": "--epochs must be 0 or more",
    "train --run-dir file --limit 20": "cannot write",
    "train --dataset folder:none": "there is no folder",
    "train --init-from none": "--init-from: there is no ",
    "train --backbone keras:MobileNetV9": "perhaps you meant keras:MobileNetV",
    "train --export file --name x": "cannot write to file/x: file is no folder; choose another folder",
    "train --export file/deeper/sub --name x": "file is no folder",
    "evaluate missing/run": "missing",
    "evaluate corrupt.keras --dataset cluttered_digits": "cannot load",
    "evaluate corrupt.keras --output file": "is a file",
    "export file --format tflite": "invalid choice 'tflite'",
    "export file --format onnx onnx": "the format onnx is named twice",
    "predict model.keras": "no image was given",
    "predict model.keras missing.png": "there is no file or folder missing.png",
    "predict model.keras file --top 0": "--top must be 1 or more",
    "reproduce imagenet": "unknown table 'imagenet'; allowed: digits",
    "reproduce digits --seeds 0": "seeds must be 1 or more; got 0",
    "reproduce digits --models vgg-att9": "unknown model 'vgg-att9'",
    "trian": "unknown command 'trian'; perhaps you meant train",
}


def test_one_line_and_exit_code_2(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("a file")
    (tmp_path / "corrupt.keras").write_bytes(b"PK\x03\x04 nothing")
    wrong = {}
    for command, said in CASES.items():
        code = exit_code(lambda words=command: main(words.split()))
        lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
        left = sorted(path.name for path in tmp_path.iterdir())
        if code != 2 or len(lines) != 1 or said not in lines[0] or left != ["corrupt.keras", "file"]:
            wrong[command] = (code, lines, left)
    assert not wrong
