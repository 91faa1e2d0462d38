"""The command line: fast help, one line for each mistake."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import pytest
from tqdm import tqdm

from attention_keras.commands.command_line import exit_code, in_flags, parse
from attention_keras.commands.main import COMMANDS, main
from attention_keras.commands.quiet_start import held_back_stderr
from attention_keras.errors import UserError
from attention_keras.evaluation.options import TASKS
from attention_keras.runs.config import RunConfig
from attention_keras.runs.options import at_least, check_values, help_of, option, options_of
from attention_keras.runs.recipes import RecipeName

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Options:
    kind: Literal["dp", "pc"] = option("pc")
    """Which score."""
    epochs: int = option(3, rule=at_least(1))
    """How long."""
    width: float = option(1.0)
    """How wide."""

    __post_init__ = check_values


def test_words_become_fields():
    assert parsed("--kind dp --epochs 4", Options) == Options("dp", 4)
    assert parsed("", Options) == Options()


def test_a_mistake_is_one_line():
    wrong = {}
    for words, said in (
        ("--kind cosine", "invalid choice 'cosine' for argument '--kind'. Expected one of ('dp', 'pc')"),
        ("--epoch 3", "perhaps you meant --epochs"),
        ("--epochs x", "--epochs takes a whole number; got 'x'"),
        ("--width 1/4", "--width takes a number, such as 0.25; got '1/4'"),
        ("--epochs 0", "--epochs must be 1 or more; got 0"),
        ("--epochs", "Missing value for argument '--epochs'"),
        ("stray", "Unrecognized options: stray"),
    ):
        with pytest.raises(UserError) as raised:
            parsed(words, Options)
        if said not in str(raised.value) or "\n" in str(raised.value):
            wrong[words] = str(raised.value)
    assert not wrong


def test_ctrl_c_leaves_a_progress_bar_and_remarks_of_libraries_off_the_line(capfd):
    def main():
        for _ in tqdm(range(3), leave=False, file=sys.stderr):
            with held_back_stderr():
                os.write(2, b"a remark")
                raise KeyboardInterrupt

    assert exit_code(main) == 130
    said = capfd.readouterr().err
    assert "a remark" not in said
    assert said.split("\r")[-1] == "stopped\n"


def test_the_flags_of_training_are_the_fields_of_its_config():
    words = "--dataset cifar10 --width 0.25 --no-dropout --taps a b --backbone keras:VGG16 --export none"
    given = {"dataset": "cifar10", "width": 0.25, "dropout": False, "taps": ("a", "b"), "export": "none"}
    assert parsed(words) == RunConfig(backbone="keras:VGG16", **given)
    assert parsed("--balance --compat dp") == RunConfig(balance=True, compat="dp")


def parsed(words, options=RunConfig):
    return parse(options, words.split(), description="", prog="attention-keras train")


def test_the_help_is_short_and_the_long_one_has_everything(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = {}
    for flag in ("--help", "--help-all"):
        with pytest.raises(SystemExit):
            main(["train", flag])
        said[flag] = capsys.readouterr().out
    flags = {flag: set(re.findall(r"^\W+--([a-z][a-z-]+)", text, re.M)) for flag, text in said.items()}
    assert len(flags["--help"]) <= 30 and len(said["--help"].rstrip().splitlines()) <= 80
    assert said["--help"].count("attention-keras train --") == 2
    assert flags["--help-all"] == {name.replace("_", "-") for name in options_of(RunConfig)}
    assert flags["--help"] < flags["--help-all"]
    assert [name for name in get_args(RecipeName) if name not in help_of(RunConfig)["recipe"]] == []


def test_messages_of_the_library_speak_of_flags(capsys):
    for message, said in (
        ("frozen_epochs must be 0 or more; got -1", "--frozen-epochs must be 0 or more; got -1"),
        ("width must be a positive number", "--width must be a positive number"),
        ("give a new `name`, or `restart` to discard it", "give a new --name, or --restart to discard it"),
        (
            "tfds:cifar10 in data/batch_size.npy has no width",
            "tfds:cifar10 in data/batch_size.npy has no width",
        ),
        ("`attention-keras list-models` shows them", "`attention-keras list-models` shows them"),
    ):
        assert in_flags(message) == said


def test_a_user_error_is_exit_code_2_and_one_line(capsys):
    def main():
        raise UserError("no such\n  dataset")

    assert exit_code(main) == 2
    assert capsys.readouterr().err == "error: no such dataset\n"


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        exit_code(lambda: 1 // 0)


def test_a_reader_who_has_seen_enough_ends_it_without_a_word():
    """The pipe breaks when the command is done and its last line goes out."""
    start = "import sys, time\nfrom attention_keras.commands.command_line import exit_code\n"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ending = (
        "sys.exit(exit_code(lambda: [print('line', flush=True), time.sleep(0.5), print('more')] and None))"
    )
    words, pipe = [sys.executable, "-c", start + ending], subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, cwd=ROOT, env=environment) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_help_shows_no_none_and_no_path_of_this_machine(capsys):
    wrong = []
    for command in [*COMMANDS, *(f"evaluate {task}" for task in (*TASKS, "all"))]:
        with pytest.raises(SystemExit):
            main([*command.split(), "--help"])
        said = capsys.readouterr().out
        lines = said.splitlines()
        good = lines[0].startswith(f"usage: attention-keras {command} ")
        good &= all(word not in said for word in ("None", str(ROOT), "site-packages", "(default: )"))
        good &= max(line.count("attention-keras ") for line in lines) == 1  # a line for each example
        wrong += [command] * (not good)
    assert wrong == []


def test_help_imports_no_framework(fresh_process):
    program = (
        "import sys, runpy\n"
        "for script in ('train.py', 'evaluate.py'):\n"
        "    sys.argv = [script, '--help']\n"
        "    try: runpy.run_path(script, run_name='__main__')\n"
        "    except SystemExit as e: assert e.code == 0\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    said = fresh_process(program, cwd=ROOT)
    assert "--dataset" in said and "--compat" in said and "faithfulness" in said
