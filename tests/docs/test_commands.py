"""Every shell command of README.md and docs/ is understood, and the cheap ones run as they are written."""

import argparse
import os
import shlex
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from shell_commands import PAGES, ROOT, check, commands, start

from attention_keras.commands.command_line import exit_code
from attention_keras.commands.main import PROGRAM, main
from attention_keras.errors import UserError

DOCUMENTED = [
    command
    for page in PAGES
    for command in commands(page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8"))
]
# Folders of the reader's own that a command names.
FOLDERS = ("ObjectDiscovery/Data", "scenes", "templates")
# The guide to a classifier of photographs: each command, and what it leaves behind.
GUIDE = {
    "attention-keras train --dataset folder:digits --backbone trunk.keras --augment none": "runs/digits",
    "attention-keras evaluate classification runs/digits": "runs/digits/evaluation/report.html",
    "attention-keras predict runs/digits new/ --output answers": "answers/predictions.csv",
}
# The same and others, which together take minutes.
SLOW = GUIDE | {
    "attention-keras export runs/digits --format saved_model litert": "saved_models/digits/digits-2.tflite",
    "attention-keras evaluate maps runs/A runs/B --rows 8": "evaluation/report.html",
    "attention-keras export runs/demo": "saved_models/demo/1/saved_model.pb",
    "attention-keras list-models": "",
}
HELP = (
    "attention-keras train --help",
    "attention-keras evaluate TASK --help",
    "python evaluate.py --task TASK --help",
    "attention-keras reproduce",
)


@pytest.fixture
def readers_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in FOLDERS:
        (tmp_path / folder).mkdir(parents=True)


@pytest.mark.parametrize("page", sorted({command.page for command in DOCUMENTED}))
def test_the_commands_of_a_page_are_understood(page, readers_folders, capsys):
    wrong = [
        f"{page}:{command.line}: {why}"
        for command in DOCUMENTED
        if command.page == page and (why := complaint(command.text, capsys))
    ]
    assert wrong == []


def complaint(command, capsys) -> str:
    """What is wrong with a command; empty where nothing is."""
    try:
        check(command)
    except (AssertionError, UserError) as error:
        return f"{command}: {error}"
    except SystemExit:
        return f"{command}: {capsys.readouterr().err}"
    return ""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("attention-keras trian", "unknown command 'trian'"),
        ("attention-keras train --epoch 3", "perhaps you meant --epochs"),
        ("attention-keras train --recipe slow", "invalid choice 'slow'"),
        ("KERAS_BACKEND=jax attention-keras train --augment flips  # a comment", "flips"),
        ("attention-keras evaluate maps runs/A --epsilons 1", "option of the task robustness"),
        ("attention-keras evaluate TASK RUN --pictures", "--pictures"),
        ("python train.py --dataset cifar10 --cmopat pc", "--cmopat"),
        ("python evaluate.py runs/A --task map", "invalid choice 'map'"),
        ("python -m attention_keras list-models --all", "--all"),
        ("python -m benchmarks.serving --round 3 --models vgg", "--models"),
        ("python -m benchmarks.severing", "benchmarks.severing"),
        ("python -m timeit", "no parser knows timeit"),
        ("python examples/tutorial.py", "no script examples/tutorial.py"),
        ("python examples/demo_app/app.py saved_models/demo --prot 80", "--port"),
        ("python examples/distributed/run_workers.py 2 --nmae a", "--name"),
        ("sbatch examples/distributed/slurm.sh --nmae a", "--name"),
        ("examples/serving/ask.sh nine.png", "no script"),
        ("cd examples/server && docker compose up", "no folder examples/server"),
        ("pip install . && make tests", "no target tests"),
        ("nvidia-smi", "no parser knows nvidia-smi"),
    ],
)  # fmt: skip
def test_a_wrong_command_is_found(command, said, readers_folders, capsys):
    assert said in complaint(command, capsys)


def test_commands_are_found_where_a_reader_sees_them():
    page = (
        "# Page\n\nType `make\ndemo`, a `word`, or:\n\n    docker run \\\n        --rm image\n    cd here\n\n"
        "    what it prints\n\nand, no commands:\n\n```text\nx = y\n\n    z\n```\n\n- a list\n    goes on\n"
    )
    found = [(command.line, command.text) for command in commands("page.md", page)]
    assert found == [(3, "make demo"), (6, "docker run --rm image"), (8, "cd here")]


@pytest.mark.parametrize(
    "name",
    [
        "attend_backbone",
        "explain_backbone",
        "full_width",
        "full_width.parts",
        "full_width.weights",
        "input_pipeline",
        "serving",
        "train_step",
    ],
)
def test_a_benchmark_explains_each_option_and_says_how_it_is_called(name, monkeypatch):
    parsers = []
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", lambda parser, *_: parsers.append(parser))
    with pytest.raises((AttributeError, UserError)):  # it goes on without its options
        start("python", ["-m", f"benchmarks.{name}"])
    assert parsers[0].prog == f"python -m benchmarks.{name}"
    assert [action.dest for action in parsers[0]._actions if not action.help] == []


def test_what_the_commands_leave_is_ignored_by_git():
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("this is no git checkout")
    files = ["answers/a.csv", "attention/a.png", "body.json", "digits/a/1.png", "evaluation/report.html"]
    files += ["examples/serving/classify", "explain.onnx", "finetuned/a.png", "new/1.png"]
    files += ["predictions/predictions.csv", "runs/demo/config.json", "saved_models/demo/1/saved_model.pb"]
    files += ["saved_models/demo-evaluation/report.html", "trunk.keras"]
    words = ["git", "-C", str(ROOT), "check-ignore", *files]
    assert subprocess.run(words, capture_output=True, text=True).stdout.split() == files


def test_the_commands_that_are_run_are_documented():
    documented = {command.text for command in DOCUMENTED}
    assert [command for command in (*HELP, *SLOW) if command not in documented] == []


def fill_desk(place):
    """What the guide takes for granted: a folder of pictures for each class, new ones, and a backbone."""
    for folder, count in {"digits/even": 24, "digits/odd": 24, "new": 3}.items():
        (place / folder).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng([number, *folder.encode()]).integers(0, 255, (32, 32, 3), "uint8")
            Image.fromarray(pixels).save(place / folder / f"{number}.png")
    images = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    for filters in (8, 12):
        x = layers.Conv2D(filters, 3, 2, padding="same", activation="relu")(x)
    keras.Model(images, x).save(place / "trunk.keras")


def test_the_guide(tmp_path, monkeypatch, capsys):
    fill_desk(tmp_path)
    monkeypatch.chdir(tmp_path)
    for command, left in GUIDE.items():
        program, *words = shlex.split(command)
        assert program == PROGRAM
        assert exit_code(lambda words=words: main(words)) == 0, capsys.readouterr().err
        assert (tmp_path / left).exists(), command


@pytest.fixture
def shell(tmp_path):
    """Run a line as a reader does, in a folder with train.py and evaluate.py; what it prints."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in {"python": "", PROGRAM: "-m attention_keras"}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        program.chmod(0o755)
    for script in ("train.py", "evaluate.py"):
        (tmp_path / script).symlink_to(ROOT / script)
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def run(line):
        done = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}\n{done.stderr[-4000:]}"
        return done.stdout

    return run


@pytest.mark.parametrize("command", HELP)
def test_what_a_command_can_do_is_said_in_a_shell(command, shell):
    said = shell(command.replace("TASK", "maps"))
    assert ("usage: " if "--help" in command else "cifar10-cpu") in said


@pytest.mark.slow
def test_more_in_a_shell(shell, tmp_path):
    fill_desk(tmp_path)
    for command, left in SLOW.items():
        shell(command)
        assert (tmp_path / left).exists(), command
        if "train" in command:
            for name in ("A", "B", "demo"):
                shutil.copytree(tmp_path / "runs" / "digits", tmp_path / "runs" / name)
