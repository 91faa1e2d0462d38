"""The command `attention-keras`: its subcommands, and what each is for."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

import attention_keras
from attention_keras.commands.command_line import exit_code, import_tensorflow, parse
from attention_keras.errors import UserError, needs
from attention_keras.models.spec import PAPER_ERRORS

PROGRAM = "attention-keras"
OVERVIEW = """usage: {program} COMMAND [options]

Image classifiers that show where they look.

{listed}

{program} COMMAND --help explains the options of a command.
Exit codes: 0 done, 2 a mistake in the command or its files, 130 stopped by Ctrl-C."""
# Each stands in the module of its name, and the last one here: a line about it, and the extra that it needs.
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
        raise UserError(f"unknown command {name!r}; allowed: {', '.join(COMMANDS)}")
    prog = f"{PROGRAM} {name}"
    with needs(prog, COMMANDS[name][1]):
        run = _list_models if name == "list-models" else import_module(f"{__package__}.{name}").main
        return run(rest, prog)


@dataclass(frozen=True)
class _NoOptions:
    pass


def _list_models(words: Sequence[str], prog: str) -> int:
    parse(
        _NoOptions, words, description="List the networks, with the errors that the paper reports.", prog=prog
    )
    import_tensorflow("list-models")
    from attention_keras.models.zoo import list_models

    print("errors: the paper's, for full width and 300 epochs. Other names are built alike; a backbone")
    print("keras:<Application> or FILE.keras has them too (--backbone, --taps).\n")
    print(f"{'model':<26}" + "".join(f"{dataset + ' %':>12}" for dataset in PAPER_ERRORS))
    for name in list_models():
        errors = (known.get(name) for known in PAPER_ERRORS.values())
        print(f"{name:<26}" + "".join(f"{error or '-':>12}" for error in errors), flush=True)
    return 0


def console() -> None:
    """What the installed command calls."""
    sys.exit(exit_code(lambda: main(sys.argv[1:])))
