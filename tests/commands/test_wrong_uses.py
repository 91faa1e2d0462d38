"""Mistakes at the real command line: one clear line, exit code 2, nothing left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRAIN = ["train.py"]
EVALUATE = ["evaluate.py"]
CASES = {
    "unknown dataset": ([*TRAIN, "--dataset", "cifar11"], "cifar11"),
    "unknown model": ([*TRAIN, "--model", "vgg-att9-pc"], "unknown model"),
    "flag value": ([*TRAIN, "--compat", "cosine"], "invalid choice 'cosine'"),
    "unknown flag": ([*TRAIN, "--epoch", "3"], "perhaps you meant --epochs"),
    "missing data": ([*TRAIN, "--dataset", "cifar10", "--data-dir", "{tmp}/nothing"], "cifar10"),
    "negative epochs": ([*TRAIN, "--epochs", "-3"], "epochs must be 0 or more"),
    "file as run directory": ([*TRAIN, "--run-dir", "{tmp}/file", "--limit", "20"], "cannot write"),
    "unreadable run": ([*EVALUATE, "{tmp}/missing"], "missing"),
    "corrupt .keras": ([*EVALUATE, "{tmp}/corrupt.keras", "--dataset", "cluttered_digits"], "cannot load"),
    "file as output": ([*EVALUATE, "{tmp}/corrupt.keras", "--output", "{tmp}/file"], "is a file"),
    "mismatched image folder": ([*TRAIN, "--dataset", "folder:{tmp}/none"], "none"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_exit_code_2(case, tmp_path):
    (tmp_path / "file").write_text("a file")
    (tmp_path / "corrupt.keras").write_bytes(b"PK\x03\x04 nothing")
    words, said = CASES[case]
    command = [sys.executable, str(ROOT / words[0]), *(word.format(tmp=tmp_path) for word in words[1:])]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1 and said in lines[0], done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corrupt.keras", "file"]
