"""Evaluate trained models: load them, carry out the tasks, write the results and the report."""

import importlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

from attention_keras.errors import NotApplicable, needs
from attention_keras.evaluation.options import TASKS, CommonOptions, tasks_of
from attention_keras.evaluation.result import TaskResult, file_name, write_report, write_result
from attention_keras.evaluation.subjects.dataset import Context, check_fit, dataset_of
from attention_keras.evaluation.subjects.load import load_subjects, run_of
from attention_keras.evaluation.subjects.predictor import TiledPredictor
from attention_keras.evaluation.table import to_terminal
from attention_keras.runs.directory import EVALUATION
from attention_keras.runs.durable import writing_to
from attention_keras.runs.names import words_of


def evaluate(options: CommonOptions, report: Callable[[str], None], command: str = "") -> Path:
    """Carry out the tasks that `options` are for; the path of the HTML report.

    Under `AllOptions` a task that does not apply is left out. `report` is called with lines for the reader;
    `command` is what was typed, for the report. A task writes its results when it is done, and the report is
    written even if a later one fails. UserError: the runs do not fit, or the only task does not apply.
    """
    # Many small views of one network are meant to be traced; TensorFlow would warn of each.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    output, tasks = _output(options), tasks_of(options)
    subjects = load_subjects(options.runs)
    dataset = dataset_of(subjects, options.dataset, options.data_dir)
    context = Context(subjects, dataset, dataset.test(), options)
    for subject in subjects:
        check_fit(subject, dataset, context.test)
    with writing_to(output, instead="another output"):  # before hours of work rather than after
        output.mkdir(parents=True, exist_ok=True)
        write_report(output, list(TASKS))
    about = _about(context, command)
    try:
        for task in tasks:
            report(f"measuring {task}")
            try:
                result = _measure(task, context)
            except NotApplicable as reason:
                if len(tasks) == 1:
                    raise
                report(f"{task}: left out, {reason}\n")
                continue
            write_result(task, result, output, about)
            found = [f"\n{table.caption}\n{to_terminal(table)}" for table in result.tables]
            report("\n".join([result.title, *found, *(f"warning: {w}" for w in result.warnings), ""]))
    finally:
        # What was measured before a task failed is worth a report too.
        page = write_report(output, list(TASKS))
    report(f"results in {output}, all of them in {page}")
    return page


def _measure(task: str, context: Context) -> TaskResult:
    tiled = [subject.name for subject in context.subjects if isinstance(subject.predictor, TiledPredictor)]
    if tiled and task != "classification":
        raise NotApplicable(f"{tiled[0]} reads images in tiles, good for classification only")
    if context.dataset.kind != "single" and task != "classification":
        raise NotApplicable(f"{task} is for images of one class each; tags and numbers have classification")
    with needs(f"the task {task}", extra="evaluate"):
        module = importlib.import_module(f"attention_keras.evaluation.tasks.{task}")
    return module.measure(context)


def _about(context: Context, command: str) -> list[str]:
    """What was measured on what, when and by which command, for the head of a section."""
    runs = ", ".join(s.name if s.kind == s.name else f"{s.name} ({s.kind})" for s in context.subjects)
    lines = [f"{runs} on {context.dataset.name}, {time.strftime('%Y-%m-%d %H:%M')}"]
    lines += [
        f"{s.name}: trained with width {s.trained.width:g}, {', '.join(words_of(s.trained))}"
        for s in context.subjects
        if s.trained
    ]
    return lines + [command] * bool(command)


def _output(options: CommonOptions) -> Path:
    path = Path(options.runs[0])
    if options.output or len(options.runs) > 1:
        return Path(options.output or EVALUATION)
    if path.is_dir() and (run := run_of(path)):
        return run.evaluation
    path = path.resolve()  # a server may watch the folder of an export
    return Path(EVALUATION, path.stem if path.is_file() else file_name("-".join(path.parts[-2:])))
