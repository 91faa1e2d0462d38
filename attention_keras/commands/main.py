"""The command `attention-keras`: its subcommands, and what each is for."""

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

import attention_keras
from attention_keras.commands.command_line import exit_code
from attention_keras.errors import UserError
from attention_keras.extras import needs

PROGRAM = "attention-keras"


@dataclass(frozen=True)
class Command:
    """A subcommand, whose module has its name: a line about it, and the extra that it needs."""

    about: str
    extra: str


COMMANDS = {
    "train": Command("train a classifier, or go on with a run that was interrupted", "train"),
    "evaluate": Command("measure trained models: error, and where they look", "evaluate"),
    "predict": Command("say what a model sees in images, and where", "evaluate"),
    "export": Command("write a finished run for TensorFlow Serving, LiteRT or ONNX", "serve"),
    "table": Command("write a folder of images as a table, to edit it", "train"),
    "reproduce": Command("train and measure a whole table of networks", "all"),
    "list-models": Command("the networks by name, with the paper's errors", "train"),
}


def main(words: Sequence[str]) -> int:
    """Run one subcommand; the return value is the exit code."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] == "--version":
        print(f"{PROGRAM} {attention_keras.__version__}")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"; perhaps you meant {close[0]}" if close else ""
        raise UserError(f"unknown command {name!r}{hint}; allowed: {', '.join(COMMANDS)}")
    command, prog = COMMANDS[name], f"{PROGRAM} {name}"
    with needs(prog, command.extra):
        module = import_module(f"{__package__}.{name.replace('-', '_')}")
        return module.main(rest, prog)


def overview() -> str:
    """The subcommands in lines.

    Example:
        >>> overview().splitlines()[0]
        'usage: attention-keras COMMAND [options]'
    """
    lines = [f"  {name:<14}{command.about}" for name, command in COMMANDS.items()]
    return "\n".join([
        f"usage: {PROGRAM} COMMAND [options]",
        "",
        "Image classifiers that show where they look.",
        "",
        *lines,
        "",
        f"{PROGRAM} COMMAND --help explains the options of a command.",
        "Exit codes: 0 done, 2 a mistake in the command or its files, 130 stopped by Ctrl-C.",
    ])  # fmt: skip


def console() -> None:
    """What the installed command calls."""
    sys.exit(exit_code(lambda: main(sys.argv[1:])))
