"""The command, on runs of seconds: everything once, nothing twice, one line for what failed."""

import dataclasses
import json
import shutil
import subprocess
import sys

import pytest

from attention_keras.errors import UserError
from attention_keras.reproduce.grid import run_grid, unfinished
from attention_keras.reproduce.options import ReproduceOptions
from attention_keras.runs.names import run_of


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

    done = reproduce(tmp_path, *words)
    assert "2 runs in" in done.stdout and "2 of them finished" in done.stdout and "[" not in done.stdout


def test_what_is_left_to_do(tmp_path):
    config = ReproduceOptions("digits", seeds=1, models=("vgg",), run_dir=str(tmp_path), images=4)
    (run,) = config.runs()
    assert [words[0] for words in unfinished(run, config)] == ["train", "evaluate", "evaluate"]
    (tmp_path / "vgg-s0" / "evaluation").mkdir(parents=True)
    (tmp_path / "vgg-s0" / "metrics.json").write_text("{}")
    for images, left in ((4, ["faithfulness"]), (8, ["robustness", "faithfulness"])):
        values = {"vgg-s0": {"images": images}}
        (tmp_path / "vgg-s0" / "evaluation" / "robustness.json").write_text(json.dumps({"values": values}))
        assert [words[1] for words in unfinished(run, config)] == left


def test_runs_of_other_settings_are_refused(tmp_path):
    tried = ReproduceOptions("digits", seeds=1, models=("vgg",), run_dir=str(tmp_path), limit=100)
    (run,) = tried.runs()
    with run_of(run).writing(run):
        pass
    (tmp_path / "vgg-s0" / "metrics.json").write_text("{}")
    assert [words[0] for words in unfinished(run, tried)] == ["evaluate", "evaluate"]
    config = ReproduceOptions("digits", seeds=1, models=("vgg",), run_dir=str(tmp_path))
    with pytest.raises(UserError, match="holds another run \\(limit 100 -> 0\\)"):
        run_grid(config, report=lambda line: None)


def test_a_measure_of_all_test_images_is_done(tmp_path):
    config = ReproduceOptions("digits", seeds=1, models=("vgg",), run_dir=str(tmp_path), images=64)
    (run,) = config.runs()
    (tmp_path / "vgg-s0" / "evaluation").mkdir(parents=True)
    (tmp_path / "vgg-s0" / "metrics.json").write_text('{"test_images": 20}')
    for task, found in (("robustness", {"images": 20}), ("faithfulness", {"random": {"images": 20}})):
        text = json.dumps({"values": {"vgg-s0": found}})
        (tmp_path / "vgg-s0" / "evaluation" / f"{task}.json").write_text(text)
    assert unfinished(run, config) == []
    fewer = dataclasses.replace(config, images=8)
    assert [words[1] for words in unfinished(run, fewer)] == ["robustness", "faithfulness"]


def test_a_run_that_fails_says_where_its_output_is(tmp_path):
    missing = str(tmp_path / "none")
    config = ReproduceOptions(
        "cifar10-cpu", seeds=1, models=("vgg",), run_dir=str(tmp_path), data_dir=missing, jobs=2
    )
    log = tmp_path / "logs" / "vgg-s0.log"
    outcome = run_grid(config, report=lambda line: None)
    assert outcome.failures == [f"vgg-s0: train stopped with exit code 2; its output is in {log}"]
    assert "error: " in log.read_text()


def test_a_folder_that_cannot_be_written_is_refused_before_the_first_run(tmp_path):
    (tmp_path / "file").write_text("")
    config = ReproduceOptions("digits", seeds=1, run_dir=str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot write to .*file: .*; choose another --run-dir"):
        run_grid(config, report=lambda line: None)
