"""`attention-keras evaluate` and `python evaluate.py`: words to options, options to results."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from attention_keras.commands.command_line import import_tensorflow, parse, say
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
    task, others = _split_task(words)
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


def _split_task(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The task, and the words without it. The first one is a task or a run; of `--task` the last counts."""
    first = "".join(words[:1])
    if first in _OPTIONS:
        return first, words[1:]
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--task", nargs="?", default=DEFAULT)
    known, others = parser.parse_known_args(words)
    is_path = not first or first.startswith("-") or "/" in first or Path(first).exists()
    if not is_path or known.task not in _OPTIONS:
        unknown = first if not is_path else known.task
        raise UserError(f"{unknown} is no task and no run; tasks: {', '.join(_OPTIONS)}")
    return known.task, others
