"""Training and measuring the runs of a table: what is done already is left alone, the rest is done."""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attention_keras.errors import UserError
from attention_keras.reproduce.children import Children, Stopped
from attention_keras.reproduce.experiments import flags
from attention_keras.reproduce.options import ReproduceOptions
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.runs.durations import duration
from attention_keras.runs.names import run_of
from attention_keras.runs.provenance import usable_cores

LOGS = "logs"


@dataclass(frozen=True)
class Outcome:
    """How a grid ended: a line for each run that failed, and the signal that stopped it, if one did."""

    failures: Sequence[str]
    stopped_by: signal.Signals | None


def run_grid(options: ReproduceOptions, report: Callable[[str], None]) -> Outcome:
    """Complete every run of the table; the same command goes on where an earlier one stopped.

    A run that fails does not keep the others from being done. On SIGTERM and Ctrl-C the runs in progress
    save their state.

    Args:
        options: which table, and how.
        report: called with a line for each run that is finished or has failed.

    Raises:
        UserError: the folder holds a run of other settings, or cannot be written.
    """
    todo = [(run, pieces) for run in options.runs() if (pieces := unfinished(run, options))]
    _make_folders(Path(options.folder))
    total = len(options.rows) * options.seeds
    done, began = total - len(todo), time.monotonic()
    report(f"{total} runs in {options.folder}, {done} of them finished")
    children, failures = Children(), []
    with children.told_of_signals(), ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(_complete, run, pieces, options, children) for run, pieces in todo]
        try:
            for number, future in enumerate(as_completed(futures), 1):
                try:
                    said = future.result()
                except Stopped:
                    continue
                except UserError as error:
                    said = str(error)
                    failures.append(said)
                left = (time.monotonic() - began) / number * (len(todo) - number)
                report(f"[{done + number}/{total}] {said}; about {duration(left)} left")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Outcome(failures, children.stopped_by)


def unfinished(run: RunConfig, options: ReproduceOptions) -> list[list[str]]:
    """What is still to do for one run, as commands: its training, and measures that are missing or of
    other images.

    Raises:
        UserError: the folder holds a run of this name with other settings.
    """
    directory = run_of(run)
    directory.refuse_another(run)
    pieces = [] if directory.is_finished else [["train", *flags(run)]]
    place = ["--data-dir", run.data_dir] if run.data_dir else []
    images = _test_images(directory, options)
    for task in options.tasks:
        if pieces or read_measure(directory, task).get("images") != images:
            pieces.append(["evaluate", task, str(directory.path), "--limit", str(images), *place])
    return pieces


def read_measure(run: Run, task: str) -> dict[str, Any]:
    """Numbers of a task on one run and how many images they are from; {} where it was not measured."""
    try:
        values = json.loads((run.evaluation / f"{task}.json").read_text(encoding="utf-8"))["values"]
        # Of one run alone: called by the name that it had then.
        (found,) = values.values()
        if task == "faithfulness":
            found = {"images": found["random"]["images"], "maps": found}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return found


def _make_folders(folder: Path) -> None:
    try:
        (folder / LOGS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; choose another --run-dir") from None


def _test_images(run: Run, options: ReproduceOptions) -> int:
    """How many test images the tasks take, which are all there are where the run has fewer than asked for."""
    asked = options.test_images
    return min(asked, run.metrics().get("test_images", asked)) if run.is_finished else asked


def _complete(
    run: RunConfig, pieces: Sequence[list[str]], options: ReproduceOptions, children: Children
) -> str:
    """Do the pieces of one run, one after the other.

    Each has a process of its own, because what TensorFlow has compiled and allocated for one network is
    never given back.

    Returns:
        A line about the finished run.

    Raises:
        UserError: a piece failed; the line says where its output is.
        Stopped: a signal came.
    """
    name = run.name
    log = Path(options.folder) / LOGS / f"{name}.log"
    for words in pieces:
        with contextlib.ExitStack() as stack:
            # Several runs at a time would write over each other's progress.
            output = stack.enter_context(log.open("a", encoding="utf-8")) if options.jobs > 1 else None
            command = [sys.executable, "-m", "attention_keras", *words]
            code = children.run(command, output, _environment(options))
        if code:
            where = f"; its output is in {log}" if output else ""
            raise UserError(f"{name}: {words[0]} {_ended(code)}{where}")
    return f"{name}: test error {run_of(run).metrics()['test_error']:.2%}"


def _ended(code: int) -> str:
    """What an exit code says."""
    if code > 0:
        return f"stopped with exit code {code}"
    return f"killed by signal {-code}" + " (perhaps out of memory)" * (code == -signal.SIGKILL)


def _environment(options: ReproduceOptions) -> dict[str, str]:
    """Share the cores among the runs, unless the user has."""
    threads = max(1, usable_cores() // options.jobs)
    shares = {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": str(threads)}
    return (shares if options.jobs > 1 else {}) | os.environ
