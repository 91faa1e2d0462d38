"""What `attention-keras evaluate` and `python evaluate.py` do: words to options, options to results."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Literal, Union

from tyro.conf import arg, subcommand

from attention_keras.commands.command_line import parse
from attention_keras.commands.quiet_start import import_tensorflow
from attention_keras.errors import UserError
from attention_keras.evaluation.options import TASKS, AllOptions, CommonOptions

ALL = "all"
DEFAULT = "classification"
_OPTIONS: dict[str, type[CommonOptions]] = {**TASKS, ALL: AllOptions}
_SUBCOMMANDS = Union[  # noqa: UP007  (the members are not known to the parser of types)
    tuple(Annotated[kind, subcommand(task, prefix_name=False)] for task, kind in _OPTIONS.items())
]
ABOUT = (
    "Measure trained models on test images: error, where they look, and how far to trust that. "
    "TASK --help shows the options of a task."
)


def main(words: Sequence[str], prog: str) -> int:
    """Evaluate as `TASK RUN [RUN ...] [options]` says."""
    if words and not words[0].startswith("-"):
        if words[0] not in _OPTIONS:
            raise UserError(f"unknown task {words[0]!r}; allowed: {', '.join(_OPTIONS)}")
        _refuse_options_of_other_tasks(words[0], words)
    return run(parse(_SUBCOMMANDS, words, description=ABOUT, prog=prog), shlex.join([*prog.split(), *words]))


def main_with_task_option(words: Sequence[str], prog: str, description: str) -> int:
    """Evaluate as `RUN [RUN ...] [--task TASK] [options]` says; the default is classification."""
    task = _task_option(words)
    options = _OPTIONS.get(task, AllOptions)
    if task in _OPTIONS:
        _refuse_options_of_other_tasks(task, words)
    help_text = "Which experiment; --task TASK --help shows its options."

    @dataclass(frozen=True)
    class Evaluation(options):
        task: Annotated[Literal[tuple(_OPTIONS)], arg(help=help_text)] = DEFAULT

    options = parse(Evaluation, words, description=description, prog=prog)
    return run(options, shlex.join([*prog.split(), *words]))


def run(options: CommonOptions, command: str = "") -> int:
    """Evaluate and print what was found; the return value is the process's exit code."""
    import_tensorflow("evaluate")
    from attention_keras.evaluation.evaluate import evaluate

    evaluate(options, report=lambda line: print(line, flush=True), command=command)
    return 0


def _task_option(words: Sequence[str]) -> str:
    """The value of `--task`, in either spelling; the last one counts."""
    task = DEFAULT
    for word, following in zip(words, [*words[1:], ""]):
        if word == "--task":
            task = following
        elif word.startswith("--task="):
            task = word.removeprefix("--task=")
    return task


def _refuse_options_of_other_tasks(task: str, words: Sequence[str]) -> None:
    """Raise UserError for an option that only other tasks have, and say which."""
    for word in words:
        name = word.removeprefix("--no-").removeprefix("--").partition("=")[0].replace("-", "_")
        owners = [other for other, options in TASKS.items() if name in _names(options)]
        if word.startswith("--") and owners and name not in _names(_OPTIONS[task]):
            flag = word.partition("=")[0]
            raise UserError(f"{flag} is an option of the task {', '.join(owners)}; the task is {task}")


def _names(options: type[CommonOptions]) -> set[str]:
    return {field.name for field in fields(options)}
