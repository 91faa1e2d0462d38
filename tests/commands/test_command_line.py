"""The command line: fast help, one line for each mistake."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from tqdm import tqdm

from attention_keras.commands.command_line import exit_code, parse
from attention_keras.commands.main import COMMANDS, main
from attention_keras.commands.quiet_start import held_back_stderr
from attention_keras.errors import UserError
from attention_keras.runs.options import TrainOptions
from attention_keras.runs.recipes import RecipeName

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Options:
    kind: Literal["dp", "pc"] = "pc"
    """Which score."""
    epochs: int | None = None
    """How long."""
    width: float = 1.0
    """How wide."""


def test_words_become_fields():
    assert parse(Options, ["--kind", "dp", "--epochs", "3"]) == Options("dp", 3)
    assert parse(Options, []) == Options()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kind", "cosine"], "invalid choice 'cosine' for argument '--kind'. Expected one of ('dp', 'pc')"),
        (["--epoch", "3"], "perhaps you meant --epochs"),
        (["--epochs", "x"], "--epochs takes a whole number; got 'x'"),
        (["--width", "1/4"], "--width takes a number, such as 0.25; got '1/4'"),
        (["--epochs"], "Missing value for argument '--epochs'"),
        (["stray"], "Unrecognized options: stray"),
    ],
)
def test_a_mistake_is_one_line(words, said):
    with pytest.raises(UserError) as raised:
        parse(Options, words)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_ctrl_c_is_a_word_and_exit_code_130(capsys):
    def main():
        raise KeyboardInterrupt

    assert exit_code(main) == 130
    assert capsys.readouterr().err == "stopped\n"


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


def _open_choices():
    """Option -> the values of a choice that may be left open, for every option of training."""
    for group in get_type_hints(TrainOptions).values():
        for name, kind in get_type_hints(group).items():
            for part in get_args(kind):
                if get_origin(part) is Literal:
                    yield f"--{name}", get_args(part)


@pytest.mark.parametrize(("flag", "values"), [*_open_choices(), ("--dropout", ("True", "False"))])
@pytest.mark.parametrize("word", ["cosine-x", "None"])
def test_a_choice_that_may_be_left_open_names_its_values_in_order(flag, values, word):
    with pytest.raises(UserError) as raised:
        parse(TrainOptions, [flag, word])
    assert f"invalid choice '{word}' for argument '{flag}'. Expected one of {values} (" in str(raised.value)
    assert parse(TrainOptions, [flag, values[0]]) != parse(TrainOptions, [flag, values[1]])


def test_the_help_names_every_recipe(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    help_text = " ".join(capsys.readouterr().out.split("--recipe ")[1].split("--epochs ")[0].split())
    choices, explained = help_text.split("}", 1)
    assert {name for name in get_args(RecipeName) if name not in explained} == set(), choices


def test_a_user_error_is_exit_code_2_and_one_line(capsys):
    def main():
        raise UserError("no such\n  dataset")

    assert exit_code(main) == 2
    assert capsys.readouterr().err == "error: no such dataset\n"


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        exit_code(lambda: 1 // 0)


@pytest.mark.parametrize("more", ["[print('line' * 1000, flush=True) for _ in range(1000)]", "print('more')"])
def test_a_reader_who_has_seen_enough_ends_it_without_a_word(more):
    """Whether the pipe breaks while the command writes, or when it is done and its last line goes out."""
    program = (
        "import sys, time\nfrom attention_keras.commands.command_line import exit_code\n"
        f"sys.exit(exit_code(lambda: [print('line', flush=True), time.sleep(0.5), {more}] and None))"
    )
    words, environment = [sys.executable, "-c", program], {**os.environ}
    environment.pop("PYTHONUNBUFFERED", None)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, **pipes, cwd=ROOT, env=environment) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("command", [*COMMANDS, "evaluate all"])
def test_help_shows_no_none_and_no_path_of_this_machine(command, capsys):
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    said = capsys.readouterr().out
    assert said.startswith(f"usage: attention-keras {command} ")
    assert "None" not in said and str(ROOT) not in said and "site-packages" not in said
    assert "(default: )" not in said
    assert max(line.count("attention-keras ") for line in said.splitlines()) == 1  # a line for each example


def test_help_imports_no_framework(fresh_process):
    program = (
        "import sys, runpy; sys.argv = ['train.py', '--help']\n"
        "try: runpy.run_path('train.py', run_name='__main__')\n"
        "except SystemExit as e: assert e.code == 0\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    start = time.perf_counter()
    said = fresh_process(program, cwd=ROOT)
    assert "--dataset" in said and "--compat" in said
    assert time.perf_counter() - start < 15  # under a second alone; the bound allows for a busy machine
