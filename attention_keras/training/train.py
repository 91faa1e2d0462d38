"""train(): from options to a finished run directory, resuming where an earlier command stopped."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops

from attention_keras.data.pipeline import user_errors
from attention_keras.data.registry import changes_between
from attention_keras.data.table_file import read_files
from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.runs.names import run_of
from attention_keras.training.device import build_strategy, is_chief, spans_workers
from attention_keras.training.session import Session


@dataclass(frozen=True)
class RunResult:
    """A finished run; `metrics` are those of its `metrics.json`, and the chief is the worker that reports."""

    run: Run
    config: RunConfig
    metrics: dict[str, Any]
    is_chief: bool = True


def train(config: RunConfig, report: Callable[[str], None] = print) -> RunResult:
    """Train, validate each epoch, read the test set once, and leave a complete run directory.

    The same config again resumes an unfinished run exactly, or returns a finished one. `report` is called
    with each line a person should read. SIGTERM and Ctrl-C save the state and raise `Interrupted`.

    Example:
        >>> result = train(RunConfig(epochs=1, limit=256, name="try"))  # doctest: +SKIP
        >>> result.metrics["test_error"]  # doctest: +SKIP
    """
    run = run_of(config)
    # Several workers must find each other before TensorFlow does anything else.
    strategy = build_strategy(config.strategy, report)
    chief = is_chief(strategy)
    report = report if chief else lambda line: None
    if not config.restart:
        run.refuse_another(config)
        if run.is_finished:
            report(f"{run.path} is finished already (`restart` trains it anew)")
            if changes := _changes_since(run):
                report(f"{run.config.dataset} has changed since: files {changes}")
            return RunResult(run, run.config, run.metrics(), chief)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    # TensorFlow keeps each gradient of `tf.custom_gradient` as long as the process lives, and with it the
    # graph that it stands in. The all-reduce of Keras's optimisers has one (keras issue 20552), so a process
    # that trains again and again would grow by 10 MB a training. There is no public way to take one back.
    gradients = getattr(ops.gradient_registry, "_registry", {})
    before = set(gradients)
    try:
        session = Session(config, run, strategy, report)
        with session.writing(), user_errors():
            metrics = session.finish(session.fit())
    except (tf.errors.UnavailableError, tf.errors.AbortedError):
        if not spans_workers(strategy):
            raise
        again = "start all workers again with the same command, which continues the run"
        raise UserError(f"another worker has gone; {again}") from None
    finally:
        for name in gradients.keys() - before:
            if name.startswith("CustomGradient-"):
                del gradients[name]
    report(
        f"{_said(metrics, 'test')} ({metrics['test_images']:,} images), {_said(metrics, 'validation')}; "
        f"run in {run.path}"
    )
    return RunResult(run, session.config, metrics, chief)


def _changes_since(run: Run) -> str:
    """How the files differ from those that a finished run was trained on; nothing where nobody can tell."""
    config, known = run.config, run.files()
    if not known:
        return ""
    try:
        table = read_files(config.dataset, config.columns, config.group_by, config.labels)
    except UserError:
        return ""  # they are not needed any more
    now = table.files(table.roles)
    both = ({path: (file.digest, file.label) for path, file in files.items()} for files in (known, now))
    return changes_between(*both)


def _said(metrics: dict[str, Any], when: str) -> str:
    """`test error 3.10%`; `test mAP 0.912, test F1 0.85`."""
    names = [f"{when}_{what}" for what in ("error", "mAP", "F1", "R2", "MAE")]
    shown = {name.replace("_", " "): metrics[name] for name in names if name in metrics}
    return ", ".join(f"{name} {value:{'.2%' if 'error' in name else '.4g'}}" for name, value in shown.items())
