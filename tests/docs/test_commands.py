"""Every shell command of README.md and docs/ is understood."""

import argparse

import pytest
from shell_commands import PAGES, ROOT, check, commands, start

from attention_keras.errors import UserError

DOCUMENTED = [
    command
    for page in PAGES
    for command in commands(page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8"))
]
# Folders of the reader's own that a command names.
FOLDERS = ("ObjectDiscovery/Data", "scenes", "templates")
BENCHMARKS = {file.stem for file in (ROOT / "benchmarks").glob("*.py")} - {"__init__", "common", "one_query"}


@pytest.fixture
def readers_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in FOLDERS:
        (tmp_path / folder).mkdir(parents=True)


def test_every_command_is_understood(readers_folders, capsys):
    wrong = [
        f"{command.page}:{command.line}: {why}"
        for command in DOCUMENTED
        if (why := complaint(command.text, capsys))
    ]
    assert not wrong, "\n".join(wrong)


def complaint(command, capsys) -> str:
    """What is wrong with a command; empty where nothing is."""
    try:
        check(command)
    except (AssertionError, UserError) as error:
        return f"{command}: {error}"
    except SystemExit:
        return f"{command}: {capsys.readouterr().err}"
    return ""


WRONG = {
    "attention-keras trian": "unknown command 'trian'",
    "attention-keras train --epoch 3": "perhaps you meant --epochs",
    "KERAS_BACKEND=jax attention-keras train --augment flips  # a comment": "flips",
    "python train.py --dataset cifar10 --cmopat pc": "--cmopat",
    "python evaluate.py runs/A --task map": "unknown task 'map'",
    "python -m benchmarks.serving --round 3 --models vgg": "--models",
    "python -m timeit": "no parser knows timeit",
    "python examples/demo_app/app.py saved_models/demo --prot 80": "--port",
    "python examples/distributed/run_workers.py 2 --nmae a": "--name",
    "examples/serving/ask.sh nine.png": "no script",
    "pip install . && make tests": "no target tests",
}


def test_a_wrong_command_is_found(readers_folders, capsys):
    found = {command: complaint(command, capsys) for command in WRONG}
    assert {command: why for command, why in found.items() if WRONG[command] not in why} == {}


def test_a_benchmark_explains_each_option_and_says_how_it_is_called(monkeypatch):
    for name in sorted(BENCHMARKS):
        parsers = []
        monkeypatch.setattr(argparse.ArgumentParser, "parse_args", lambda parser, *_: parsers.append(parser))  # noqa: B023
        with pytest.raises((AttributeError, UserError)):  # it goes on without its options
            start("python", ["-m", f"benchmarks.{name}"])
        assert parsers[0].prog == f"python -m benchmarks.{name}"
        assert [action.dest for action in parsers[0]._actions if not action.help] == [], name
