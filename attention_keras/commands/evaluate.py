"""What `python evaluate.py RUN [RUN ...] --task TASK` does."""

import importlib
import logging
from collections.abc import Sequence
from pathlib import Path

from attention_keras.data.datasets import ImageDataset, has_free_size, load_dataset
from attention_keras.data.split import Split
from attention_keras.errors import NotApplicable, UserError
from attention_keras.evaluation.options import EvaluateConfig
from attention_keras.evaluation.report.html import write_report
from attention_keras.evaluation.report.result import Table, TaskResult, format_cell, write_result
from attention_keras.evaluation.subjects.subject import Subject, load_subjects
from attention_keras.evaluation.tasks.context import Context


def run(config: EvaluateConfig) -> int:
    """Evaluate and write the results; the return value is the process's exit code."""
    # Many small views of one network are meant to be traced; TensorFlow would warn of each.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    output = _output(config)
    subjects = load_subjects(config.runs)
    dataset = _dataset(config, subjects)
    test = dataset.test()
    for subject in subjects:
        _check_fit(subject, dataset, test)
    _prepare(output)
    context = Context(subjects, dataset, test, config)
    runs = ", ".join(s.name if s.kind == s.name else f"{s.name} ({s.kind})" for s in subjects)
    about = f"{runs} on {dataset.name}"
    try:
        for name in config.tasks:
            _run_task(name, context, output, about)
    finally:
        # What was measured before a task failed is worth a report too.
        report = write_report(output)
    print(f"results in {output}, all of them in {report}")
    return 0


def _run_task(name: str, context: Context, output: Path, about: str) -> None:
    """Measure, write and print one task; of `--task all` one that does not apply is left out."""
    task = importlib.import_module(f"attention_keras.evaluation.tasks.{name}")
    try:
        result = task.run(context)
    except NotApplicable as reason:
        if context.config.task != "all":
            raise
        print(f"{name}: left out, {reason}\n")
        return
    write_result(result, output, about)
    _print(result)


def _output(config: EvaluateConfig) -> Path:
    path = Path(config.runs[0])
    if config.output:
        output = Path(config.output)
    elif len(config.runs) > 1:
        output = Path("evaluation")
    elif (path / "config.json").exists():
        output = path / "evaluation"
    else:
        path = path.resolve()
        output = path.with_name(f"{path.stem if path.is_file() else path.name}-evaluation")
    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file; choose another --output")
    return output


def _prepare(output: Path) -> None:
    """Make the folder before hours of work rather than after."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"cannot write to {output}: {error.strerror}; choose another --output") from None


def _dataset(config: EvaluateConfig, subjects: Sequence[Subject]) -> ImageDataset:
    """The dataset asked for or trained on; where runs saw different parts of it, the largest one."""
    trained = [subject.trained for subject in subjects if subject.trained]
    name = config.dataset or next((t.dataset for t in trained), None)
    if name is None:
        raise UserError(f"{config.runs[0]} does not say what it was trained on; give --dataset")
    datasets = sorted({t.dataset for t in trained})
    if config.dataset is None and len(datasets) > 1:
        raise UserError(f"the runs were trained on {' and '.join(datasets)}; evaluate them one by one")
    same = [t for t in trained if t.dataset == name]
    if same:
        whole = max(same, key=lambda t: float("inf") if t.limit is None else t.limit)
        if name.startswith("folder:") and len({t.limit for t in same}) > 1:
            raise UserError(
                f"the runs were trained on parts of {name} of different size (--limit), so test images of "
                "one may be training images of another; evaluate them one by one"
            )
        options = whole.dataset_options()
    else:
        size = subjects[0].predictor.image_shape[0]
        options = {"image_size": size} if has_free_size(name) else {}
    return load_dataset(name, **{**options, **({"data_dir": config.data_dir} if config.data_dir else {})})


def _check_fit(subject: Subject, dataset: ImageDataset, test: Split) -> None:
    model = "the model" if subject.trained is None else subject.name
    if len(dataset.class_names) != subject.predictor.num_classes:
        raise UserError(
            f"{model} tells {subject.predictor.num_classes} classes apart and {dataset.name} has "
            f"{len(dataset.class_names)}; choose the dataset it was trained on with --dataset"
        )
    known = subject.predictor.class_names
    if known is not None and list(known) != list(dataset.class_names):
        raise UserError(
            f"{model} answers with classes such as {known[0]!r}, {dataset.name} has classes such as "
            f"{dataset.class_names[0]!r}; choose the dataset it was trained on with --dataset"
        )
    if tuple(test.images.shape[1:]) != tuple(subject.predictor.image_shape):
        raise UserError(
            f"{model} takes images of {subject.predictor.image_shape}, "
            f"{dataset.name} has {test.images.shape[1:]}"
        )


def _print(result: TaskResult) -> None:
    print(f"{result.title}")
    for line in result.summary:
        print(line)
    for table in () if result.summary else result.tables:
        print(f"\n{table.caption}\n{text_table(table)}")
    for warning in result.warnings:
        print(f"warning: {warning}")
    print()


def text_table(table: Table) -> str:
    """The table in columns of equal width.

    Example:
        >>> print(text_table(Table("", ["run", "error"], [["demo", 0.25], ["other", None]])))
        run    error
        demo   0.250
        other      -
    """
    cells = [list(map(str, table.columns)), *([format_cell(cell) for cell in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    text = {i for i in range(len(widths)) if any(isinstance(row[i], str) for row in table.rows)}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in text else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in cells
    )
