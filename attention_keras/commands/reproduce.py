"""`attention-keras reproduce`: a table of results with one command."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from attention_keras.commands.command_line import import_tensorflow, parse, say
from attention_keras.errors import UserError
from attention_keras.evaluation.options import TASKS
from attention_keras.evaluation.table import INTEGER, TEXT, Table, to_csv, to_markdown
from attention_keras.models.spec import PAPER_ERRORS
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.runs.durable import write_text
from attention_keras.runs.names import run_of
from attention_keras.runs.options import ZERO_OR_POSITIVE, Rule, at_least, check_values, option

Measure = Literal["robustness", "faithfulness", "classification", "none"]

_BASELINES = ("vgg", "vgg-hires", "vgg-gap", "vgg-pan")
_ATTENTION = ("vgg-att2-concat-mean", "vgg-att2-concat-pc", "vgg-att2-concat-dp")
_ONE_OR_THREE = ("vgg-att1-pc", "vgg-att3-concat-pc")
_PAPER = (*_BASELINES, "vgg-att1-dp", *_ONE_OR_THREE, "vgg-att2-indep-dp", "vgg-att2-indep-pc", *_ATTENTION)
_LINEAR = ("vgg-att2-linear-scaled", "vgg-att2-linear-pc", "vgg-att2-linear-mean")
_SCORES = ("vgg-att2-concat-scaled", "vgg-att2-concat-pc-sigmoid", "vgg-att2-concat-additive", *_LINEAR)
_RESNETS = ("rn164", "rn164-hires", "rn164-att1-pc", "rn164-att2-concat-pc", "rn164-att2-concat-mean")
_SVHN = (*_BASELINES, "vgg-att2-concat-mean", "vgg-att2-concat-pc", "vgg-att3-concat-pc")
_DIGITS = (*_BASELINES, *_ATTENTION, *_SCORES)
_CPU = (*_BASELINES, *_ONE_OR_THREE, *_ATTENTION, "vgg-att2-indep-pc", *_SCORES)
_QUICK = {"recipe": "quick", "width": 0.125, "epochs": 1, "batch_size": 64}
_MASKS = tuple(f"vgg-att2-concat-pc-masks{percent}" for percent in (0, 1, 10, 100))


class Experiment(NamedTuple):
    """One table: a dataset, its rows, the options that all of them share, and what is measured on each run.

    A row is a network's name; `-masks10` behind it says that a tenth of the masks train its attention.
    """

    about: str
    dataset: str
    rows: tuple[str, ...]
    settings: Mapping[str, Any] = MappingProxyType({})
    measures: tuple[Measure, ...] = ("robustness", "faithfulness")
    images: int = 64


TABLES = {
    "digits": Experiment(
        "digits: all scores and both controls, 5 minutes a run on 2 cores", "cluttered_digits", _DIGITS
    ),
    "digits-attend-to": Experiment(
        "digits: attention trained with the masks of none, 1, 10 and 100 % of the images",
        *("cluttered_digits", _MASKS, {}, ("classification",), 2000),
    ),
    "cifar10-cpu": Experiment(
        "CIFAR-10 for 2 CPU cores: narrow networks, few passes over the data", "cifar10", _CPU, _QUICK
    ),
    "cifar10": Experiment("the paper's CIFAR-10 column, for a GPU", "cifar10", _PAPER + _RESNETS),
    "cifar100": Experiment("the paper's CIFAR-100 column, for a GPU", "cifar100", _PAPER + _RESNETS),
    "svhn": Experiment("the paper's SVHN column, for a GPU", "svhn", _SVHN),
}
TABLE = Rule(lambda name: not name or name in TABLES, f"one of {', '.join(TABLES)}")
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

    table: str = option("", rule=TABLE, place="[TABLE]")
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

    __post_init__ = check_values

    @property
    def folder(self) -> str:
        return self.run_dir or f"runs/{self.table}"

    def configs(self) -> dict[tuple[str, int], RunConfig]:
        """(row, seed) -> run, the first seed of all rows first, so that an unfinished table says most."""
        table, configs = TABLES[self.table], {}
        shared = {"dataset": table.dataset, "export": "none", "run_dir": self.folder, **table.settings}
        given = {"width": self.width, "epochs": self.epochs, "limit": self.limit, "data_dir": self.data_dir}
        shared |= {name: value for name, value in given.items() if value}
        for seed, row in itertools.product(range(self.seeds), self.models or table.rows):
            model, _, percent = row.partition("-masks")
            guided = {"attend_to": 1.0, "attend_to_fraction": int(percent) / 100} if int(percent or 0) else {}
            configs[row, seed] = RunConfig(model=model, seed=seed, name=f"{row}-s{seed}", **shared, **guided)
        return configs


def main(words: Sequence[str], prog: str) -> int:
    options = parse(ReproduceOptions, words, description=DESCRIPTION, prog=prog)
    if not options.table:
        for name, experiment in TABLES.items():
            print(f"{name:<17}{len(experiment.rows):>3} rows: {experiment.about}")
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
        found = _measured(run, task)
        if task != "none" and found.get("random", found).get("images") != images:
            evaluate(TASKS[task]((str(run.path),), limit=images, data_dir=config.data_dir), report=say)


def _measured(run: Run, task: str) -> dict[str, Any]:
    """What a task found on one run; {} where it was not measured."""
    report = run.evaluation / f"{task}.json"
    (found,) = json.loads(report.read_text(encoding="utf-8"))["values"].values() if report.exists() else [{}]
    return found


def _write_table(options: ReproduceOptions, configs: dict[tuple[str, int], RunConfig]) -> str:
    """The finished runs as a table, in Markdown; mean and deviation over seeds, beside the paper's errors."""
    experiment, rows = TABLES[options.table], []
    for row in dict.fromkeys(row for row, _ in configs):
        runs = [run for (name, _), c in configs.items() if name == row and (run := run_of(c)).is_finished]
        found = [_numbers(run) for run in runs]
        each = [[numbers[head] for numbers in found if numbers[head] is not None] for head in DIGITS]
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


def _numbers(run: Run) -> dict[str, float | None]:
    """What stands in the table of one run; None for what was not measured."""
    metrics, config = run.metrics(), run.config
    taps = _measured(run, "classification").get("localization", {}).values()
    robustness = _measured(run, "robustness")
    attacks = zip(robustness.get("epsilons", ()), robustness.get("accuracy", {}).get("worst case", ()))
    maps = [one for name, one in _measured(run, "faithfulness").items() if name != "random"]
    return {
        "test error, %": 100 * metrics["test_error"],
        "paper, %": PAPER_ERRORS.get(config.dataset, {}).get(config.model),
        "parameters": metrics["parameters"],
        "M MACs/image": metrics["macs"] / 1e6,
        "training, min": metrics["seconds"] / 60,
        "peak on object, %": max((100 * tap["pointing_game"] for tap in taps), default=None),
        "under attack, %": next((100 * accuracy for epsilon, accuracy in attacks if epsilon == 2), None),
        "insertion": max((one["insertion"][0] for one in maps), default=None),
        "deletion": min((one["deletion"][0] for one in maps), default=None),
    }
