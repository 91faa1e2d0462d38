"""Mistakes at the command line: one clear line, exit code 2, nothing left behind."""

from functools import partial

from attention_keras.commands.command_line import exit_code
from attention_keras.commands.main import main

CASES = {
    "train --dataset cifar11": "cifar11",
    "train --model vgg-att9-pc": "unknown model",
    "train --compat cosine": "invalid choice 'cosine'",
    "train --epoch 3": "perhaps you meant --epochs",
    "train --dataset cifar10 --data-dir nothing": "cifar10",
    "train --epochs -3": "--epochs must be 0 or more",
    "train --run-dir file --limit 20": "cannot write",
    "train --dataset folder:none": "none",
    "evaluate missing": "missing",
    "evaluate corrupt.keras --dataset cluttered_digits": "cannot load",
    "evaluate corrupt.keras --output file": "is a file",
}


def test_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("a file")
    (tmp_path / "corrupt.keras").write_bytes(b"PK\x03\x04 nothing")
    wrong = {}
    for line, reason in CASES.items():
        code = exit_code(partial(main, line.split()))
        said = capsys.readouterr().err.splitlines()
        one_line = len(said) == 1 and said[0].startswith("error: ") and reason in said[0]
        left = sorted(path.name for path in tmp_path.iterdir())
        if code != 2 or not one_line or left != ["corrupt.keras", "file"]:
            wrong[line] = (code, said, left)
    assert not wrong
