"""Training and measuring the runs of a table: what is done already is left alone, the rest is done."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from attention_keras.errors import UserError
from attention_keras.reproduce.options import ReproduceConfig
from attention_keras.runs.directory import RunDirectory
from attention_keras.runs.durations import duration
from attention_keras.runs.options import TrainConfig
from attention_keras.runs.provenance import usable_cores

Piece = tuple[str, dict[str, Any]]
LOGS = "logs"


def run_grid(config: ReproduceConfig, report: Callable[[str], None]) -> None:
    """Complete every run of the table; the same command goes on where an earlier one stopped.

    Args:
        config: which table, and how.
        report: called with a line for each finished run.

    Raises:
        UserError: a run failed; the line says where its output is.
        KeyboardInterrupt: Ctrl-C; runs in progress have saved their state.
    """
    todo = {run: pieces for run in config.run_configs() if (pieces := unfinished(run, config))}
    total = len(config.rows) * config.seeds
    done, began = total - len(todo), time.monotonic()
    report(f"{total} runs in {config.folder}, {done} of them finished")
    with ThreadPoolExecutor(config.jobs) as pool:
        futures = {pool.submit(_complete, run, pieces, config): run for run, pieces in todo.items()}
        try:
            for number, future in enumerate(as_completed(futures), 1):
                future.result()
                left = (time.monotonic() - began) / number * (len(todo) - number)
                error = RunDirectory(futures[future].resolved()).read_metrics()["test_error"]
                report(
                    f"[{done + number}/{total}] {futures[future].name}: test error {error:.2%}; "
                    f"about {duration(left)} left"
                )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def unfinished(run: TrainConfig, config: ReproduceConfig) -> list[Piece]:
    """What is still to do for one run: its training, and measures that are missing or of other images.

    Raises:
        UserError: the folder holds a run of this name with other settings.
    """
    run = run.resolved()
    directory = RunDirectory(run)
    directory.reconcile(run)  # a run of other settings under this name is refused
    pieces: list[Piece] = [] if directory.is_finished else [("train", run.to_dict())]
    for task in config.measures:
        if pieces or read_measure(directory.path, task).get("images") != config.images:
            fields = {"runs": [str(directory.path)], "task": task, "limit": config.images}
            pieces.append(("evaluate", fields | ({"data_dir": run.data_dir} if run.data_dir else {})))
    return pieces


def read_measure(run: Path, task: str) -> dict[str, Any]:
    """Numbers of a task on one run and how many images they are from; {} where it was not measured."""
    try:
        values = json.loads((run / "evaluation" / f"{task}.json").read_text(encoding="utf-8"))["values"]
        found = values[run.name]
        if task == "faithfulness":
            found = {"images": found["random"]["images"], "maps": found}
    except (OSError, ValueError, KeyError):
        return {}
    return found


def _complete(run: TrainConfig, pieces: Sequence[Piece], config: ReproduceConfig) -> None:
    """Do the pieces of one run, one after the other."""
    log = Path(config.folder) / LOGS / f"{run.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    for kind, fields in pieces:
        with contextlib.ExitStack() as stack:
            # Several runs at a time would write over each other's progress.
            output = stack.enter_context(log.open("a", encoding="utf-8")) if config.jobs > 1 else None
            command = [sys.executable, "-m", "attention_keras.reproduce.member", kind, json.dumps(fields)]
            code = subprocess.run(command, stdout=output, stderr=output, env=_environment(config)).returncode
        if code:
            where = f"; its output is in {log}" if output else ""
            raise UserError(f"{run.name}: {kind} stopped with exit code {code}{where}")


def _environment(config: ReproduceConfig) -> dict[str, str]:
    """Share the cores among the runs, unless the user has."""
    threads = max(1, usable_cores() // config.jobs)
    shares = {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": str(threads)}
    return (shares if config.jobs > 1 else {}) | os.environ
