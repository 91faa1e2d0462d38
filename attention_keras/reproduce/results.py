"""From the runs of a grid to the table: mean and spread over seeds, beside the paper's numbers."""

import csv
import dataclasses
import io
import shlex
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attention_keras.evaluation.report.result import write_json
from attention_keras.models.paper_errors import PAPER_ERRORS
from attention_keras.reproduce.experiments import command_line
from attention_keras.reproduce.grid import read_measure
from attention_keras.reproduce.options import ReproduceOptions
from attention_keras.runs.directory import Run
from attention_keras.runs.durable import write_whole

EPSILONS = (1.0, 2.0, 4.0)
DECIMALS = 1
_MEASURED_MAPS = ("Grad-CAM", "CAM", "random")


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1; None for a single value) of one number over seeds."""

    mean: float
    deviation: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value.

        Example:
            >>> str(Spread.of([10.0, 11.0, 12.0]))
            '11.0 ± 1.0'
        """
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), deviation, tuple(values))

    def text(self, decimals: int = DECIMALS) -> str:
        """`mean ± deviation`."""
        mean = f"{self.mean:.{decimals}f}"
        return mean if self.deviation is None else f"{mean} ± {self.deviation:.{decimals}f}"

    __str__ = text


def write_tables(config: ReproduceOptions) -> Path:
    """Write `results.md`, `results.csv` (a row for each run) and `results.json` into the grid's folder.

    Returns:
        Path of `results.md`. Runs that are not finished are left out.
    """
    folder = Path(config.folder)
    rows = [row for model in config.rows if (row := _row(config, model))]
    runs = [run for row in rows for run in row["runs"]]
    write_json(folder / "results.json", {"table": config.table, "rows": rows})
    text = io.StringIO()
    heads = ["model", "seed", "test_error", "parameters", "macs", "seconds", "precision", "commit"]
    heads += ["hardware", "command"]
    writer = csv.DictWriter(text, heads, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(runs)
    write_whole(folder / "results.csv", text.getvalue().encode())
    sections = [_about(config, runs), error_table(config, rows), robustness_table(rows), maps_table(rows)]
    path = folder / "results.md"
    write_whole(path, ("\n\n".join(filter(None, sections)) + "\n").encode())
    return path


def _row(config: ReproduceOptions, model: str) -> dict[str, Any] | None:
    """Everything about one network: its finished runs, and what was measured on them."""
    runs, robustness, maps = [], [], []
    for seed in range(config.seeds):
        run = config.run_options(model, seed)
        directory = Run(run.run_path)
        if not directory.is_finished:
            continue
        metrics = directory.metrics()
        kept = ("test_error", "parameters", "macs", "seconds", "precision", "commit", "hardware")
        numbers = {name: metrics.get(name) for name in kept}
        runs.append({"model": model, "seed": seed, **numbers, "command": command_line(run)})
        robustness += [found] if (found := read_measure(directory, "robustness")) else []
        maps += [found["maps"]] if (found := read_measure(directory, "faithfulness")) else []
    if not runs:
        return None
    paper = PAPER_ERRORS.get(config.experiment.dataset, {}).get(model)
    return {"model": model, "paper_error": paper, "runs": runs, "robustness": robustness, "maps": maps}


def _about(config: ReproduceOptions, runs: list[dict]) -> str:
    """What the numbers are, and how to get them."""
    words = ["attention-keras", "reproduce", str(config.table)]
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        if entry.name == "seeds" or (entry.name != "table" and value != entry.default):
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{entry.name.replace('_', '-')}", *map(str, values)]
    lines = [
        f"# {config.table}\n\n{config.experiment.about}. Mean ± standard deviation over seeds.",
        f"- command: `{shlex.join(words)}`",
        f"- machine: {_different(runs, 'hardware')}; precision {_different(runs, 'precision')}; "
        f"commit {_different(runs, 'commit')}",
    ]
    if runs:
        first = runs[0]["command"]
        lines.append(f"- one run: `{first}` (and so on for each row and seed)")
    return "\n".join([lines[0], "", *lines[1:]])


def _different(runs: list[dict], name: str) -> str:
    """What the runs say of themselves, each value once."""
    values = {run[name] for run in runs} - {None}
    shown = sorted(str(value)[:8] if name == "commit" else str(value) for value in values)
    return "; ".join(shown) or "unknown"


def error_table(config: ReproduceOptions, rows: list[dict]) -> str:
    """Test error in %, size, compute and time of every network."""
    heads = ["model", "seeds", "test error, %", "paper, %", "parameters", "M MACs/image", "training, min"]
    body = []
    for row in rows:
        runs = row["runs"]
        body.append([
            f"`{row['model']}`",
            len(runs),
            Spread.of([100 * run["test_error"] for run in runs]),
            "" if row["paper_error"] is None else f"{row['paper_error']:.2f}",
            f"{runs[0]['parameters']:,}",
            f"{runs[0]['macs'] / 1e6:,.0f}",
            f"{statistics.median(run['seconds'] for run in runs) / 60:.1f}",
        ])  # fmt: skip
    return "## Test error\n\n" + markdown(heads, body)


def robustness_table(rows: list[dict]) -> str | None:
    """Accuracy in % under FGSM and under the worst of all attacks."""
    heads = ["model", "clean", *(f"{attack}, eps {epsilon:g}" for attack in ("FGSM", "worst case")
                                 for epsilon in EPSILONS)]  # fmt: skip
    body = []
    for row in rows:
        if not row["robustness"]:
            continue
        cells = [_accuracy(row["robustness"], "FGSM", 0.0)]
        cells += [_accuracy(row["robustness"], a, e) for a in ("FGSM", "worst case") for e in EPSILONS]
        body.append([f"`{row['model']}`", *cells])
    if not body:
        return None
    images = next(row["robustness"][0]["images"] for row in rows if row["robustness"])
    return f"## Accuracy in % under attack, {images} test images a run, eps of 255\n\n" + markdown(
        heads, body
    )


def _accuracy(found: list[dict], attack: str, epsilon: float) -> Spread:
    return Spread.of([100 * one["accuracy"][attack][one["epsilons"].index(epsilon)] for one in found])


def maps_table(rows: list[dict]) -> str | None:
    """Insertion and deletion areas of attention beside Grad-CAM, CAM and a random map."""
    heads = ["model", "map", "insertion (higher is better)", "deletion (lower is better)", "entropy"]
    body = []
    for row in rows:
        names = [n for n in (row["maps"] or [{}])[0] if n.startswith("attention") or n in _MEASURED_MAPS]
        for name in names:
            found = [one[name] for one in row["maps"] if name in one]
            areas = [Spread.of([one[key][0] for one in found]) for key in ("insertion", "deletion")]
            entropy = Spread.of([one["entropy"] for one in found])
            body.append([f"`{row['model']}`", name, *(s.text(3) for s in areas), entropy.text(2)])
    if not body:
        return None
    images = next(row["maps"][0]["random"]["images"] for row in rows if row["maps"])
    return f"## Faithfulness of the maps, {images} test images a run\n\n" + markdown(heads, body)


def markdown(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; columns of numbers are set to the right.

    Example:
        >>> print(markdown(["model", "error"], [["vgg", 7.77]]))
        | model | error |
        |---|---:|
        | vgg | 7.77 |
    """
    numbers = [all(str(row[i])[:1].isdigit() or str(row[i]) == "" for row in rows) for i in range(len(heads))]
    rule = "|" + "".join("---:|" if number else "---|" for number in numbers)
    lines = [f"| {' | '.join(heads)} |", rule]
    return "\n".join(lines + [f"| {' | '.join(map(str, row))} |" for row in rows])
