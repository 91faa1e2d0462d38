"""The shell commands of README.md and docs/: where they stand, and which parser knows their words.

On these pages a block that is indented by four spaces is typed into a shell. What follows an empty line in it
is what the command prints. Other text, such as a formula, stands between fences. A command may also stand
between backticks in a sentence.
"""

import argparse
import contextlib
import importlib.util
import itertools
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

from attention_keras.commands import (
    command_line,
    evaluate,
    export,
    list_models,
    predict,
    reproduce,
    table,
    train,
)
from attention_keras.commands.command_line import parse
from attention_keras.commands.main import PROGRAM, main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Programs of others, whose words are not ours to check.
FOREIGN = {"ab", "docker", "pip", ".venv/bin/pip", "sbatch", "source", "tensorboard"}
FOREIGN_MODULES = {"tf2onnx.convert"}
RUNS_TRAIN = {"examples/distributed/run_workers.py", "examples/distributed/slurm.sh"}
OWN = {PROGRAM, "python", "make", "cd"}
# What a reader puts in the place of a word in capitals. (`...` stands for more of the same.)
STAND_INS = {"SEED": "0", "RUN": "runs/A", "MODEL": "vgg-hires", "TASK": "classification", "...": ""}
FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
BLOCK = re.compile(r"(?<=\n\n)(?: {4}.*\n)+")
INLINE = re.compile(r"`((?:[^`\n]|\n(?!\n))+)`")  # a sentence may break within it


class Command(NamedTuple):
    page: str
    line: int
    text: str


class Parsed(BaseException):
    """The words were understood; nothing more is to be done. (No `except Exception` may stop it.)"""


def commands(page: str, text: str) -> list[Command]:
    """The commands of a page: each line of its blocks, and what looks like one within a sentence."""
    text = FENCED.sub(lambda fenced: re.sub(r".", " ", fenced[0]), text)
    found = [Command(page, text.count("\n", 0, at) + 1, line) for at, line in (*_blocks(text), *_spans(text))]
    return sorted(found, key=lambda command: command.line)


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """The first paragraph of each indented block, a command a line, with continued lines joined."""
    end = None
    for block in BLOCK.finditer(text):
        printed, end = end == block.start() - 1, block.end()
        if printed or not block[0].strip():
            continue
        at = block.start()
        for line in re.findall(r"(?:.*\\\n)*.*\n", block[0]):
            if line.strip():
                yield at, re.sub(r"\\\n\s*|\s+#.*", "", line).strip()
            at += len(line)


def _spans(text: str) -> Iterator[tuple[int, str]]:
    for span in INLINE.finditer(text):
        words = " ".join(span[1].split())
        first, _, rest = words.partition(" ")
        if rest and first in OWN | FOREIGN:
            named_only = first == PROGRAM and " " not in rest  # a sentence about `attention-keras evaluate`
            yield span.start(), f"{words} --help" if named_only else words


def check(command: str) -> None:
    """Hand the words of a line to the parsers of the programs that it starts; they raise what they refuse."""
    for program, *words in _parts(command):
        if RUNS_TRAIN & set(words):  # `run_workers.py 2 --dataset ...`, `sbatch slurm.sh --dataset ...`
            _only_parse(PROGRAM, ["train", *words[1 + words[0].endswith(".py") :]])
        elif program in FOREIGN or (words[:1] == ["-m"] and words[1] in FOREIGN_MODULES):
            continue
        elif program == "cd":
            assert (ROOT / words[0]).is_dir(), f"there is no folder {words[0]}"
        elif program == "make":
            assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.M), f"no target {words[0]}"
        elif program.endswith(".sh"):
            assert (ROOT / program).is_file(), f"there is no script {program}"
        else:
            _only_parse(program, words)


def _parts(command: str) -> Iterator[list[str]]:
    """The words of each command in a line, without variables before, and redirections and comments behind."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="&;>")
    lexer.whitespace_split = True
    words = [STAND_INS.get(word, word) for word in lexer]
    for _, part in itertools.groupby(words, lambda word: word in ("&&", ";")):
        part = itertools.takewhile(lambda word: word != ">", part)
        part = list(itertools.dropwhile(lambda word: re.match(r"\w+=", word), filter(None, part)))
        if part and part[0] not in ("&&", ";"):
            yield part


def _only_parse(program: str, words: list[str]) -> None:
    """Start one of our programs, and stop it where it has read its words."""
    reads_arguments = argparse.ArgumentParser.parse_args

    def parse_words(*arguments, **options):
        raise Parsed(parse(*arguments, **options))

    def parse_arguments(*arguments):
        raise Parsed(reads_arguments(*arguments))

    with contextlib.ExitStack() as stack:
        for module in (command_line, evaluate, export, list_models, predict, reproduce, table, train):
            stack.enter_context(mock.patch.object(module, "parse", parse_words))
        stack.enter_context(mock.patch.object(argparse.ArgumentParser, "parse_args", parse_arguments))
        stack.enter_context(mock.patch.object(sys, "argv", [program, *words]))
        try:
            start(program, words)
        except Parsed:
            return
        except SystemExit as exit_request:
            if exit_request.code:
                raise
            return  # after help
    raise AssertionError(f"no parser read {shlex.join([program, *words])}")


def start(program: str, words: list[str]) -> None:
    """Run one of our programs in this process; AssertionError where it is none of ours."""
    if program == "python" and words[0] == "-m":
        _, name, *words = words
        sys.argv[:] = [name, *words]
        if name == "attention_keras":
            sys.exit(main(words))
        assert name.startswith("benchmarks."), f"no parser knows {name}"
        assert importlib.util.find_spec(name), f"there is no module {name}"
        if "jax" in name:
            pytest.importorskip("jax")
        importlib.import_module(name).main()
    elif program == "python":
        script, *words = words
        assert (ROOT / script).is_file(), f"there is no script {script}"
        sys.argv[:] = [script, *words]
        runpy.run_path(str(ROOT / script), run_name="__main__")
    else:
        assert program == PROGRAM, f"no parser knows {program}"
        sys.exit(main(words))
