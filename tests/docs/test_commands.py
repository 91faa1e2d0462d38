"""Every command of ours in README.md and docs/ is understood.

On these pages a line that is indented by four spaces is typed into a shell, and a command may stand between
backticks in a sentence.
"""

import argparse
import importlib
import importlib.util
import itertools
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from attention_keras.commands import command_line
from attention_keras.commands.main import COMMANDS, PROGRAM, main
from attention_keras.errors import UserError

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OURS = rf"(?:{PROGRAM}|python|make) "
TYPED = re.compile(rf"^ {{4}}(?:\w+=\w+ )?({OURS}.*)$|`({OURS}[^`]+)`", re.M)
# Folders of the reader's own that a command names.
FOLDERS = ("ObjectDiscovery/Data", "scenes", "templates")
# What a reader puts in the place of a word in capitals. (`...` stands for more of the same.)
STAND_INS = {"SEED": "0", "RUN": "runs/A", "MODEL": "vgg-hires", "TASK": "classification", "...": ""}


class Parsed(BaseException):
    """The words were understood; nothing more is to be done. (No `except Exception` may stop it.)"""


@pytest.fixture
def complaint(tmp_path, monkeypatch, capsys):
    """What is wrong with a command. Our programs stop where they have read their words."""

    def then_stop(read):
        def stop(*words, **options):
            raise Parsed(read(*words, **options))

        return stop

    names = [name.replace("-", "_") for name in COMMANDS if name != "list-models"]
    modules = [importlib.import_module(f"attention_keras.commands.{name}") for name in ("main", *names)]
    stopping = then_stop(command_line.parse)
    for module in (command_line, *modules):
        monkeypatch.setattr(module, "parse", stopping)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", then_stop(argparse.ArgumentParser.parse_args))
    monkeypatch.chdir(tmp_path)
    for folder in FOLDERS:
        (tmp_path / folder).mkdir(parents=True)

    def check(command):
        try:
            start(*command)
        except Parsed:
            return None
        except (AssertionError, UserError) as error:
            return f"{shlex.join(command)}: {error}"
        except SystemExit as stopped:
            return f"{shlex.join(command)}: {capsys.readouterr().err}" if stopped.code else None
        return f"no parser read {shlex.join(command)}"

    return check


def commands(text):
    """Line and words of each command of a page, up to what follows it in a shell."""
    text = re.sub(r"^```.*?^```$", lambda fenced: re.sub(r".", " ", fenced[0]), text, flags=re.M | re.S)
    text = re.sub(r"\\\n +", "", text)
    for found in TYPED.finditer(text):
        words = [STAND_INS.get(word, word) for word in shlex.split(found[1] or found[2], comments=True)]
        words = list(itertools.takewhile(lambda word: word not in ("&&", ">"), filter(None, words)))
        only_named = found[2] and len(words) == 2 and words[0] == PROGRAM  # in a sentence about it
        yield text.count("\n", 0, found.start()) + 1, [*words, "--help"] if only_named else words


def start(program, first, *words):
    if "run_workers.py" in first:
        program, first, words = PROGRAM, "train", words[1:]
    if program == PROGRAM:
        main([first, *words])
    elif program == "make":
        assert re.search(rf"^{first}:", (ROOT / "Makefile").read_text(), re.M), f"no target {first}"
        raise Parsed
    elif first == "-m":
        name, *words = words
        if name.startswith("tf2onnx") or ("jax" in name and not importlib.util.find_spec("jax")):
            raise Parsed
        assert importlib.util.find_spec(name), f"there is no module {name}"
        sys.argv[:] = [name, *words]
        if name.startswith("benchmarks."):
            sys.modules.pop(name, None)  # where another test has imported it
        runpy.run_module(name, run_name="__main__")
    else:
        assert (ROOT / first).is_file(), f"there is no script {first}"
        sys.argv[:] = [first, *words]
        runpy.run_path(str(ROOT / first), run_name="__main__")


def test_every_command_is_understood(complaint, monkeypatch):
    monkeypatch.setattr(sys, "argv", [])
    checked, wrong = 0, []
    for page in PAGES:
        for line, command in commands(page.read_text(encoding="utf-8")):
            why, checked = complaint(command), checked + 1
            wrong += [f"{page.name}:{line}: {why}"] if why else []
    assert not wrong and checked > 100, "\n".join(wrong)


def test_a_wrong_command_is_found(complaint, monkeypatch):
    monkeypatch.setattr(sys, "argv", [])
    wrong = {
        "attention-keras trian": "unknown command 'trian'",
        "attention-keras train --epoch 3": "perhaps you meant --epochs",
        "KERAS_BACKEND=jax attention-keras train --augment flips  # a comment": "flips",
        "python train.py --dataset cifar10 --cmopat pc": "--cmopat",
        "python examples/demo_app/app.py saved_models/demo --prot 80": "--port",
        "make tests": "no target tests",
    }
    found = [complaint(command) for _, command in commands("".join(f"    {line}\n" for line in wrong))]
    assert [why for why, said in zip(found, wrong.values(), strict=True) if said not in str(why)] == []
