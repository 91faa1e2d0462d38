"""`attention-keras reproduce`: a table of results with one command."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from attention_keras.commands.command_line import import_tensorflow, parse, say
from attention_keras.errors import UserError
from attention_keras.evaluation.options import TASKS
from attention_keras.evaluation.table import INTEGER, TEXT, Table, to_csv, to_markdown
from attention_keras.models.spec import PAPER_ERRORS
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.runs.durable import write_text
from attention_keras.runs.experiments import TABLES, Measure
from attention_keras.runs.names import run_of
from attention_keras.runs.options import ZERO_OR_POSITIVE, at_least, check_values, option

# Numbers of the table, with their decimals.
DIGITS = {"test error, %": ",.2f", "paper, %": ",.2f", "parameters": ",.0f", "M MACs/image": ",.0f"}
DIGITS |= {"training, min": ",.1f", "peak on object, %": ",.1f", "under attack, %": ",.1f"}
DIGITS |= {"insertion": ",.3f", "deletion": ",.3f"}
DESCRIPTION = """Train every network of a table with every seed, measure the runs, and write the table.

results.md and results.csv lie beside the runs. The same command goes on where an earlier one was stopped. A
run that fails keeps no other from being done. The table has what is finished. Exit codes: 0 done, 2 a mistake
in the command or a run that failed, 130 stopped by Ctrl-C, 143 by SIGTERM."""


@dataclass(frozen=True)
class ReproduceOptions:
    """Which table, and how many seeds."""

    table: str = option("", place="[TABLE]")
    """Name of the table (without it: the list of them)."""
    seeds: int = option(3, rule=at_least(1))
    """Runs of each row, with seeds 0, 1, ..."""
    models: tuple[str, ...] = option((), default="the table's rows")
    """Rows of the table to run, or networks of any name."""
    measures: tuple[Measure, ...] = option((), default="the table's")
    """What to measure on each run beside its test error."""
    images: int = option(0, default="the table's", rule=at_least(0))
    """Test images for these measures."""
    width: float = option(0.0, default="the table's", rule=ZERO_OR_POSITIVE)
    """Factor on every channel count."""
    epochs: int = option(0, default="the table's", rule=at_least(0))
    """Passes over the training split."""
    limit: int = option(0, default="all", rule=at_least(0))
    """Use only the first N training images and N/5 test images (for a try)."""
    data_dir: str = option("", default="TFDS_DATA_DIR or ~/tensorflow_datasets")
    """Where TensorFlow Datasets keeps prepared data."""
    run_dir: str = option("", default="runs/TABLE")
    """Folder of the runs and of the table made from them."""

    def __post_init__(self):
        check_values(self)
        if self.table and self.table not in TABLES:
            raise UserError(f"unknown table {self.table!r}; allowed: {', '.join(TABLES)}")

    @property
    def folder(self) -> str:
        """Where the runs are."""
        return self.run_dir or f"runs/{self.table}"

    def configs(self) -> dict[tuple[str, int], RunConfig]:
        """(row, seed) -> run, the first seed of all rows first, so that an unfinished table says most."""
        changes = {name: getattr(self, name) for name in ("width", "epochs", "limit", "data_dir")}
        rows, experiment = self.models or TABLES[self.table].models, TABLES[self.table]
        return {
            (row, seed): experiment.config(row, seed, run_dir=self.folder, **changes)
            for seed in range(self.seeds)
            for row in rows
        }


def main(words: Sequence[str], prog: str) -> int:
    """The command line; the return value is the exit code."""
    options = parse(ReproduceOptions, words, description=DESCRIPTION, prog=prog)
    if not options.table:
        for name, experiment in TABLES.items():
            print(f"{name:<17}{len(experiment.models):>3} rows: {experiment.about}")
        return 0
    configs = options.configs()
    for config in configs.values():
        run_of(config).refuse_another(config)
    import_tensorflow("reproduce")
    from attention_keras.training.checkpoint import Interrupted

    failures, stopped = [], 0
    for number, ((row, seed), config) in enumerate(configs.items(), 1):
        say(f"\n[{number}/{len(configs)}] {row}, seed {seed}")
        try:
            _complete(config, options)
        except UserError as error:
            failures.append(f"{config.name}: {error}")
            say(failures[-1])
        except Interrupted as interrupted:
            say(f"{interrupted}; the same command goes on from here")
            stopped = interrupted.exit_code
            break
    say(f"\n{_write_table(options, configs)}\nwritten to {options.folder}/results.md")
    if failures and not stopped:
        raise UserError(f"{len(failures)} of {len(configs)} runs failed; the same command tries again")
    return stopped


def _complete(config: RunConfig, options: ReproduceOptions) -> None:
    """Train a run, or what is left of it, and measure what was not measured on as many images."""
    from attention_keras.evaluation.evaluate import evaluate
    from attention_keras.training.train import train

    experiment = TABLES[options.table]
    run = train(config, report=say).run
    images = min(options.images or experiment.images, run.metrics()["test_images"])
    for task in options.measures or experiment.measures:
        if task != "none" and _measured(run, task).get("images") != images:
            evaluate(TASKS[task]((str(run.path),), limit=images, data_dir=config.data_dir), report=say)


def _measured(run: Run, task: str) -> dict[str, Any]:
    """What a task found on one run, and on how many images; {} where it was not measured."""
    try:
        report = json.loads((run.evaluation / f"{task}.json").read_text(encoding="utf-8"))
        (found,) = report["values"].values()
        return {"images": found["random"]["images"], "maps": found} if task == "faithfulness" else found
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_table(options: ReproduceOptions, configs: dict[tuple[str, int], RunConfig]) -> str:
    """The finished runs as a table, in Markdown; mean and deviation over seeds, beside the paper's errors."""
    experiment, rows = TABLES[options.table], []
    for row in dict.fromkeys(row for row, _ in configs):
        runs = [run for (name, _), c in configs.items() if name == row and (run := run_of(c)).is_finished]
        found = [_numbers(run) for run in runs]
        each = [[numbers[head] for numbers in found if head in numbers] for head in DIGITS]
        spread = [
            (fmean(values), stdev(values)) if len({*values}) > 1 else next(iter(values), None)
            for values in each
        ]
        rows += [[f"`{row}`", len(runs), *spread]] * bool(runs)
    columns = {"model": TEXT, "seeds": INTEGER} | DIGITS
    table = Table(f"{experiment.about}; of each network its best map", columns, rows)
    said = f"# {options.table}\n\n{table.caption}\n\n{to_markdown(table)}\n"
    write_text(Path(options.folder, "results.md"), said)
    write_text(Path(options.folder, "results.csv"), to_csv(table.columns, table.rows))
    return said


def _numbers(run: Run) -> dict[str, float]:
    """What stands in the table of one run; its reports have all that was measured."""
    metrics, paper = run.metrics(), PAPER_ERRORS.get(run.config.dataset, {}).get(run.config.model)
    found = {"test error, %": 100 * metrics["test_error"], "parameters": metrics["parameters"]}
    found |= {"M MACs/image": metrics["macs"] / 1e6, "training, min": metrics["seconds"] / 60}
    found |= {} if paper is None else {"paper, %": paper}
    if pointing := _measured(run, "classification").get("localization"):
        found["peak on object, %"] = 100 * max(tap["pointing_game"] for tap in pointing.values())
    if robustness := _measured(run, "robustness"):
        at = robustness["epsilons"].index(2.0)
        found["under attack, %"] = 100 * robustness["accuracy"]["worst case"][at]
    if maps := _measured(run, "faithfulness").get("maps"):
        found["insertion"] = max(one["insertion"][0] for name, one in maps.items() if name != "random")
        found["deletion"] = min(one["deletion"][0] for name, one in maps.items() if name != "random")
    return found
