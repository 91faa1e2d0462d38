"""The command `attention-keras`: its subcommands, and what each is for."""

import difflib
import sys
from collections.abc import Sequence
from importlib import import_module

import attention_keras
from attention_keras.commands.command_line import exit_code
from attention_keras.errors import UserError, needs

PROGRAM = "attention-keras"
OVERVIEW = """usage: {program} COMMAND [options]

Image classifiers that show where they look.

{listed}

{program} COMMAND --help explains the options of a command.
Exit codes: 0 done, 2 a mistake in the command or its files, 130 stopped by Ctrl-C."""
# Each stands in the module of its name: a line about it, and the extra that it needs.
COMMANDS = {
    "train": ("train a classifier, or go on with a run that was interrupted", "train"),
    "evaluate": ("measure trained models: error, and where they look", "evaluate"),
    "predict": ("say what a model sees in images, and where", "evaluate"),
    "export": ("write a finished run for TensorFlow Serving, LiteRT or ONNX", "serve"),
    "table": ("write a folder of images as a table, to edit it", "train"),
    "reproduce": ("train and measure a whole table of networks", "all"),
    "list-models": ("the networks by name, with the paper's errors", "train"),
}


def main(words: Sequence[str]) -> int:
    """Run one subcommand; the return value is the exit code."""
    if not words or words[0] in ("-h", "--help", "help"):
        listed = "\n".join(f"  {name:<14}{about}" for name, (about, _) in COMMANDS.items())
        print(OVERVIEW.format(program=PROGRAM, listed=listed))
        return 0
    if words[0] == "--version":
        print(f"{PROGRAM} {attention_keras.__version__}")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"; perhaps you meant {close[0]}" if close else ""
        raise UserError(f"unknown command {name!r}{hint}; allowed: {', '.join(COMMANDS)}")
    prog = f"{PROGRAM} {name}"
    with needs(prog, COMMANDS[name][1]):
        module = import_module(f"{__package__}.{name.replace('-', '_')}")
        return module.main(rest, prog)


def console() -> None:
    """What the installed command calls."""
    sys.exit(exit_code(lambda: main(sys.argv[1:])))
