"""`attention-keras evaluate` and `python evaluate.py`: words to options, options to results."""

import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from attention_keras.commands.command_line import parse
from attention_keras.commands.quiet_start import import_tensorflow
from attention_keras.errors import UserError
from attention_keras.evaluation.options import TASKS, AllOptions, CommonOptions

DEFAULT = "classification"
_OPTIONS: dict[str, type[CommonOptions]] = {**TASKS, "all": AllOptions}
DESCRIPTION = """Measure trained models on test images: error, where they look, and how far to trust that.

The task is the first word, or stands after --task; else it is {default}. TASK --help shows its options.
{tasks}

Examples:
  attention-keras evaluate runs/demo
  attention-keras evaluate all runs/demo
  attention-keras evaluate faithfulness runs/pc runs/dp runs/gap --limit 256"""


def main(words: Sequence[str], prog: str) -> int:
    """Evaluate as `[TASK] RUN [RUN ...] [--task TASK] [options]` says; the return value is the exit code."""
    task, others = split_task(words)
    _refuse_options_of_other_tasks(task, others)
    tasks = "\n".join(f"  {name:<16}{kind.__doc__}" for name, kind in _OPTIONS.items())
    about = DESCRIPTION.format(default=DEFAULT, tasks=tasks)
    options = parse(_OPTIONS[task], others, description=about, prog=f"{prog} {task}")
    return run(options, shlex.join([*prog.split(), *words]))


def run(options: CommonOptions, command: str = "") -> int:
    """Evaluate and print what was found; the return value is the process's exit code."""
    import_tensorflow("evaluate")
    from attention_keras.evaluation.evaluate import evaluate

    evaluate(options, report=lambda line: print(line, flush=True), command=command)
    return 0


def split_task(words: Sequence[str]) -> tuple[str, list[str]]:
    """The task, and the words without it. The first one is a task or a run; of `--task` the last counts."""
    first, others, task = "".join(words[:1]), [], DEFAULT
    if first in _OPTIONS:
        return first, list(words[1:])
    following = iter(words)
    for word in following:
        if word == "--task":
            task = next(following, "")
        elif word.startswith("--task="):
            task = word.removeprefix("--task=")
        else:
            others.append(word)
    if first and not first.startswith("-") and "/" not in first and not Path(first).exists():
        raise UserError(f"{first} is no task and no run; tasks: {', '.join(_OPTIONS)}")
    if task not in _OPTIONS:
        raise UserError(f"unknown task {task!r}; allowed: {', '.join(_OPTIONS)}")
    return task, others


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
