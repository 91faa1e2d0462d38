"""`attention-keras evaluate` and `python evaluate.py`: words to options, options to results."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from attention_keras.commands.command_line import import_tensorflow, parse, say
from attention_keras.errors import UserError
from attention_keras.evaluation.options import TASKS, AllOptions, CommonOptions
from attention_keras.runs.options import options_of

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
    task, others = _split_task(words)
    for word in others:  # no option is ignored
        name = word.removeprefix("--no-").removeprefix("--").partition("=")[0].replace("-", "_")
        owners = [other for other, options in TASKS.items() if name in options_of(options)]
        if word.startswith("--") and owners and name not in options_of(_OPTIONS[task]):
            flag = word.partition("=")[0]
            raise UserError(f"{flag} is an option of the task {', '.join(owners)}; the task is {task}")
    tasks = "\n".join(f"  {name:<16}{kind.__doc__}" for name, kind in _OPTIONS.items())
    about = DESCRIPTION.format(default=DEFAULT, tasks=tasks)
    options = parse(_OPTIONS[task], others, description=about, prog=f"{prog} {task}")
    return run(options, shlex.join([*prog.split(), *words]))


def run(options: CommonOptions, command: str = "") -> int:
    """Evaluate and print what was found; the return value is the process's exit code."""
    import_tensorflow("evaluate")
    from attention_keras.evaluation.evaluate import evaluate

    evaluate(options, report=say, command=command)
    return 0


def _split_task(words: Sequence[str]) -> tuple[str, list[str]]:
    """The task, and the words without it. The first one is a task or a run; of `--task` the last counts."""
    first = "".join(words[:1])
    if first in _OPTIONS:
        return first, list(words[1:])
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--task", nargs="?", default=DEFAULT)
    known, others = parser.parse_known_args(words)
    if first and not first.startswith("-") and "/" not in first and not Path(first).exists():
        raise UserError(f"{first} is no task and no run; tasks: {', '.join(_OPTIONS)}")
    if known.task not in _OPTIONS:
        raise UserError(f"unknown task {known.task!r}; allowed: {', '.join(_OPTIONS)}")
    return known.task, others
