"""The command, on runs of seconds: everything once, nothing twice, one line for what failed."""

import json
import shutil
import subprocess
import sys

import pytest

from attention_keras.commands.reproduce import main
from attention_keras.errors import UserError
from attention_keras.reproduce.grid import run_grid, unfinished
from attention_keras.reproduce.options import ReproduceOptions
from attention_keras.runs.directory import Run


def reproduce(folder, *words):
    command = [
        sys.executable,
        "-m",
        "attention_keras",
        "reproduce",
        "digits",
        "--run-dir",
        str(folder),
        *words,
    ]
    return subprocess.run(command, capture_output=True, text=True)


TINY = ("--width", "0.02", "--limit", "100", "--epochs", "1", "--images", "4")


@pytest.mark.slow
def test_a_grid_is_completed_and_not_done_twice(tmp_path):
    words = (*TINY, "--seeds", "2", "--jobs", "2", "--models", "vgg-att2-concat-dp")
    done = reproduce(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "[2/2] vgg-att2-concat-dp-s" in done.stdout
    assert "| `vgg-att2-concat-dp` | 2 |" in done.stdout
    metrics = sorted(tmp_path.glob("*/metrics.json"))
    assert [path.parent.name for path in metrics] == ["vgg-att2-concat-dp-s0", "vgg-att2-concat-dp-s1"]
    measured = json.loads((metrics[0].parent / "evaluation" / "robustness.json").read_text())
    assert measured["values"]["vgg-att2-concat-dp-s0"]["images"] == 4

    shutil.rmtree(metrics[1].parent)
    before = metrics[0].stat().st_mtime_ns
    done = reproduce(tmp_path, *words)
    assert done.returncode == 0 and "2 runs in" in done.stdout and "1 of them finished" in done.stdout
    assert metrics[0].stat().st_mtime_ns == before
    assert metrics[1].is_file()


def test_what_is_left_to_do(tmp_path):
    config = ReproduceOptions("digits", seeds=1, models=("vgg",), run_dir=str(tmp_path), images=4)
    (run,) = config.runs()
    assert [words[0] for words in unfinished(run, config)] == ["train", "evaluate", "evaluate"]
    (tmp_path / "vgg-s0" / "evaluation").mkdir(parents=True)
    metrics = tmp_path / "vgg-s0" / "metrics.json"
    # Of two test images no more can be measured than two.
    for tested, images, left in (
        (9, 4, ["faithfulness"]),
        (9, 8, ["robustness", "faithfulness"]),
        (2, 2, ["faithfulness"]),
    ):
        metrics.write_text(json.dumps({"test_images": tested}))
        values = {"vgg-s0": {"images": images}}
        (tmp_path / "vgg-s0" / "evaluation" / "robustness.json").write_text(json.dumps({"values": values}))
        assert [words[1] for words in unfinished(run, config)] == left


def test_runs_of_other_settings_are_refused(tmp_path):
    tried = ReproduceOptions("digits", seeds=1, models=("vgg",), run_dir=str(tmp_path), limit=100)
    (run,) = tried.runs()
    with Run(run.run_path).writing(run.resolve(), run.machine):
        pass
    (tmp_path / "vgg-s0" / "metrics.json").write_text('{"test_images": 20}')
    assert [words[0] for words in unfinished(run, tried)] == ["evaluate", "evaluate"]
    config = ReproduceOptions("digits", seeds=1, models=("vgg",), run_dir=str(tmp_path))
    with pytest.raises(UserError, match="holds another run \\(limit 100 -> 0\\)"):
        run_grid(config, report=lambda line: None)


def test_a_run_that_fails_does_not_keep_the_others_from_being_done(tmp_path, monkeypatch, capsys):
    """The second of three runs is killed, as for want of memory; the table has the first and the third."""

    def done(command, **options):
        if "--seed" in command and command[command.index("--seed") + 1] == "1":
            return subprocess.CompletedProcess(command, -9)
        seed = command[command.index("--seed") + 1] if "--seed" in command else "0"
        folder = tmp_path / f"vgg-s{seed}"
        folder.mkdir()
        numbers = {"test_error": 0.25, "test_images": 10, "parameters": 1, "macs": 1, "seconds": 1.0}
        (folder / "metrics.json").write_text(json.dumps(numbers))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", done)
    words = ["digits", "--seeds", "3", "--models", "vgg", "--measures", "--run-dir", str(tmp_path)]
    with pytest.raises(UserError, match=r"1 runs failed \(vgg-s1\); the table has the others"):
        main(words, prog="reproduce")
    said = capsys.readouterr().out
    assert "vgg-s1: failed: train stopped with signal 9 (out of memory?)" in said
    assert "[3/3] vgg-s2: test error 25.00%" in said
    assert "| `vgg` | 2 | 25.0" in (tmp_path / "results.md").read_text()


def test_a_failed_run_says_where_its_output_is(tmp_path):
    missing = str(tmp_path / "none")
    config = ReproduceOptions(
        "cifar10-cpu", seeds=1, models=("vgg",), run_dir=str(tmp_path), data_dir=missing, jobs=2
    )
    said = []
    assert run_grid(config, report=said.append) == ["vgg-s0"]
    assert "train stopped with exit code 2; its output is in " in said[-1]
    assert "error: " in (tmp_path / "logs" / "vgg-s0.log").read_text()
