"""A table is written of what there is, whatever became of the rest."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attention_keras.commands.reproduce import main
from attention_keras.errors import UserError
from attention_keras.reproduce.children import Children
from attention_keras.training.checkpoint import checkpoint_files
from attention_keras.training.checkpointing import SIGNAL_EXIT_BASE

MODELS = ("vgg", "vgg-gap", "vgg-hires")
WORDS = ("digits", "--seeds", "1", "--measures", "--models", *MODELS)


@pytest.fixture
def programs(monkeypatch):
    """Model -> the Python program that is run in place of its training."""
    original, found = Children.run, {}

    def run(self, command, output, environment):
        name = command[command.index("--name") + 1].removesuffix("-s0")
        metrics = {"test_error": 0.25, "parameters": 1, "macs": 1, "seconds": 1.0}
        path = Path(command[command.index("--run-dir") + 1]) / f"{name}-s0"
        trained = f"import pathlib; p = pathlib.Path({str(path)!r}); p.mkdir(); "
        trained += f"(p / 'metrics.json').write_text({json.dumps(metrics)!r})"
        return original(self, [sys.executable, "-c", found.get(name, trained)], output, environment)

    monkeypatch.setattr(Children, "run", run)
    return found


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("raise SystemExit(2)", "train stopped with exit code 2"),
        ("import os; os.kill(os.getpid(), 9)", "train killed by signal 9 (perhaps out of memory)"),
        ("import os; os.kill(os.getpid(), 11)", "train killed by signal 11"),
    ],
)
def test_a_row_that_fails_keeps_no_other_from_being_done(programs, tmp_path, capsys, jobs, program, said):
    programs["vgg"] = program
    with pytest.raises(UserError, match="1 of 3 runs failed; the same command tries it again"):
        main([*WORDS, "--run-dir", str(tmp_path), "--jobs", jobs], "attention-keras reproduce")
    output = capsys.readouterr().out
    table = (tmp_path / "results.md").read_text()
    assert [f"| `{model}` | 1 | 25.0 |" in table for model in MODELS] == [False, True, True]
    where = f"; its output is in {tmp_path / 'logs' / 'vgg-s0.log'}" if jobs == "2" else ""
    assert output.endswith(f"\nfailed:\n  vgg-s0: {said}{where}\n")
    assert output.count("[3/3]") == 1

    del programs["vgg"]
    assert main([*WORDS, "--run-dir", str(tmp_path)], "attention-keras reproduce") == 0
    assert "| `vgg` | 1 | 25.0 |" in (tmp_path / "results.md").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_in_the_table_of_what_is_finished(programs, tmp_path, capsys, number):
    programs["vgg-gap"] = f"import os, time; os.kill(os.getppid(), {number.value}); time.sleep(60)"
    code = main([*WORDS, "--run-dir", str(tmp_path)], "attention-keras reproduce")
    assert code == SIGNAL_EXIT_BASE + number
    output, table = capsys.readouterr().out, (tmp_path / "results.md").read_text()
    assert output.endswith(f"stopped by {number.name}; the same command goes on from here\n")
    assert "failed" not in output
    assert [f"| `{model}` | 1 | 25.0 |" in table for model in MODELS] == [True, False, False]


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [False, True])
def test_a_training_in_progress_is_saved(tmp_path, whole_group):
    words = ["digits", "--seeds", "1", "--models", "vgg", "--width", "0.02", "--limit", "1000"]
    words += ["--epochs", "1000"]
    command = [sys.executable, "-m", "attention_keras", "reproduce", *words, "--run-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0) as process:
        history, checkpoints = tmp_path / "vgg-s0" / "history.jsonl", tmp_path / "vgg-s0" / "checkpoints"
        while not history.exists():
            assert process.poll() is None
            time.sleep(0.1)
        time.sleep(1)
        at_the_epochs_end = set(checkpoint_files(checkpoints))
        # As a shell's kill does, and as timeout does.
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGTERM)
        output = process.communicate(timeout=120)[0]
    assert process.returncode == 143
    assert "stopped by SIGTERM; the same command continues the run" in output
    assert set(checkpoint_files(checkpoints)) != at_the_epochs_end
    assert (tmp_path / "results.md").is_file()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
