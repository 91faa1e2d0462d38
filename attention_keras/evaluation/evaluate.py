"""Evaluate trained models: load them, carry out the tasks, write the results and the report."""

import logging
from collections.abc import Callable
from pathlib import Path

from attention_keras.errors import NotApplicable, UserError
from attention_keras.evaluation.options import TASKS, CommonOptions, tasks_of
from attention_keras.evaluation.report.html import write_report
from attention_keras.evaluation.report.render import to_terminal
from attention_keras.evaluation.report.result import TaskResult
from attention_keras.evaluation.report.store import write_result
from attention_keras.evaluation.subjects.dataset import check_fit, dataset_of
from attention_keras.evaluation.subjects.load import is_run, load_subjects
from attention_keras.evaluation.tasks.context import Context
from attention_keras.evaluation.tasks.registry import FUNCTIONS
from attention_keras.runs.directory import EVALUATION, Run


def evaluate(options: CommonOptions, report: Callable[[str], None]) -> Path:
    """Carry out the tasks that `options` are for; each writes its results when it is done.

    Args:
        options: of one task, or `AllOptions`, under which a task that does not apply is left out.
        report: called with lines for the reader.

    Returns:
        Path of the HTML report. It is written even if a task fails, with what was measured before.

    Raises:
        UserError: a run cannot be read, the runs do not fit the dataset, or the task does not apply.

    Example:
        >>> from attention_keras.evaluation.options import MapsOptions
        >>> evaluate(MapsOptions(("runs/demo",), rows=4), report=print)  # doctest: +SKIP
    """
    # Many small views of one network are meant to be traced; TensorFlow would warn of each.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    output = _output(options)
    subjects = load_subjects(options.runs)
    dataset = dataset_of(subjects, options.dataset, options.data_dir)
    test = dataset.test()
    for subject in subjects:
        check_fit(subject, dataset, test)
    _prepare(output)
    context = Context(subjects, dataset, test, options)
    runs = ", ".join(s.name if s.kind == s.name else f"{s.name} ({s.kind})" for s in subjects)
    tasks = tasks_of(options)
    try:
        for task in tasks:
            report(f"measuring {task}")
            try:
                result = FUNCTIONS[TASKS[task]](context)
            except NotApplicable as reason:
                if len(tasks) == 1:
                    raise
                report(f"{task}: left out, {reason}\n")
                continue
            write_result(result, output, f"{runs} on {dataset.name}")
            report(_summary(result))
    finally:
        # What was measured before a task failed is worth a report too.
        page = write_report(output)
    report(f"results in {output}, all of them in {page}")
    return page


def _output(options: CommonOptions) -> Path:
    path = Path(options.runs[0])
    if options.output:
        output = Path(options.output)
    elif len(options.runs) > 1:
        output = Path(EVALUATION)
    elif is_run(path):
        output = Run(path).evaluation
    else:
        path = path.resolve()
        output = path.with_name(f"{path.stem if path.is_file() else path.name}-evaluation")
    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file; choose another output")
    return output


def _prepare(output: Path) -> None:
    """Make the folder before hours of work rather than after."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"cannot write to {output}: {error.strerror}; choose another output") from None


def _summary(result: TaskResult) -> str:
    """The result for a terminal."""
    lines = [result.title, *result.summary]
    for table in () if result.summary else result.tables:
        lines.append(f"\n{table.caption}\n{to_terminal(table)}")
    return "\n".join([*lines, *(f"warning: {warning}" for warning in result.warnings), ""])
