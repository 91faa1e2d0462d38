"""From the runs of a grid to the table: mean and spread over seeds, beside the paper's numbers."""

import csv
import dataclasses
import io
import shlex
import statistics
from pathlib import Path
from typing import Any

from attention_keras.evaluation.report.json_text import write_json
from attention_keras.evaluation.report.render import to_markdown
from attention_keras.evaluation.report.spread import Spread
from attention_keras.evaluation.report.table import Table, decimal, integer, text
from attention_keras.models.paper_errors import PAPER_ERRORS
from attention_keras.reproduce.experiments import command_line
from attention_keras.reproduce.grid import read_measure
from attention_keras.reproduce.options import ReproduceOptions
from attention_keras.runs.durable import write_whole
from attention_keras.runs.names import run_of

EPSILONS = (1.0, 2.0, 4.0)


def write_tables(config: ReproduceOptions) -> Path:
    """Write `results.md`, `results.csv` (a row for each run) and `results.json` into the grid's folder.

    Returns:
        Path of `results.md`. Runs that are not finished are left out.
    """
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for model in config.rows if (row := _row(config, model))]
    runs = [run for row in rows for run in row["runs"]]
    write_json(folder / "results.json", {"table": config.table, "rows": rows})
    lines = io.StringIO()
    heads = ["model", "seed", "test_error", "parameters", "macs", "seconds", "precision", "commit"]
    heads += ["hardware", "command"]
    writer = csv.DictWriter(lines, heads, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(runs)
    write_whole(folder / "results.csv", lines.getvalue().encode())
    tables = [error_table(config, rows), pointing_table(rows), robustness_table(rows), maps_table(rows)]
    path = folder / "results.md"
    write_whole(path, ("\n\n".join(filter(None, [_about(config, runs), *tables])) + "\n").encode())
    return path


def _row(config: ReproduceOptions, model: str) -> dict[str, Any] | None:
    """Everything about one row: its finished runs, and what was measured on them."""
    runs, pointing, robustness, maps = [], [], [], []
    for seed in range(config.seeds):
        run = config.run_options(model, seed)
        directory = run_of(run)
        if not directory.is_finished:
            continue
        metrics = directory.metrics()
        kept = ("test_error", "parameters", "macs", "seconds", "precision", "commit", "hardware")
        numbers = {name: metrics.get(name) for name in kept}
        runs.append({"model": model, "seed": seed, **numbers, "command": command_line(run)})
        pointing += [found["localization"]] if (found := read_measure(directory, "classification")) else []
        robustness += [found] if (found := read_measure(directory, "robustness")) else []
        maps += [found["maps"]] if (found := read_measure(directory, "faithfulness")) else []
    if not runs:
        return None
    paper = PAPER_ERRORS.get(config.experiment.dataset, {}).get(model)
    measured = {"pointing": pointing, "robustness": robustness, "maps": maps}
    return {"model": model, "paper_error": paper, "runs": runs, **measured}


def _about(config: ReproduceOptions, runs: list[dict]) -> str:
    """What the numbers are, and how to get them."""
    lines = [
        f"# {config.table}\n\n{config.experiment.about}. Mean ± standard deviation over seeds.",
        f"- command: `{shlex.join(command_words(config))}`",
        f"- training: {_training(config)}",
        f"- machine: {_different(runs, 'hardware')}; precision {_different(runs, 'precision')}; "
        f"commit {_different(runs, 'commit')}",
    ]
    if runs:
        first = runs[0]["command"]
        lines.append(f"- one run: `{first}` (and so on for each row and seed)")
    return "\n".join([lines[0], "", *lines[1:]])


def command_words(config: ReproduceOptions) -> list[str]:
    """What to type for this table: every option that is not as it would be without a word."""
    words = ["attention-keras", "reproduce", str(config.table)]
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        if entry.name == "seeds" or (entry.name != "table" and value != entry.default):
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{entry.name.replace('_', '-')}", *map(str, values)]
    return words


def _training(config: ReproduceOptions) -> str:
    """What was computed, which may be less than the table is for."""
    recipes = [config.run_options(model, 0) for model in config.rows]
    settings = {f"{r.epochs} epoch{'s' * (r.epochs != 1)} at width {r.width:g}" for r in recipes}
    limit = f", {config.limit:,} training images" if config.limit else ""
    return "; ".join(sorted(settings)) + limit


def _different(runs: list[dict], name: str) -> str:
    """What the runs say of themselves, each value once."""
    values = {run[name] for run in runs} - {None}
    shown = sorted(str(value)[:8] if name == "commit" else str(value) for value in values)
    return "; ".join(shown) or "unknown"


def error_table(config: ReproduceOptions, rows: list[dict]) -> str:
    """Test error in %, size, compute and time of every network."""
    columns = [
        text("model"),
        integer("seeds"),
        decimal("test error, %", 1),
        decimal("paper, %", 2),
        integer("parameters"),
        decimal("M MACs/image", 0),
        decimal("training, min", 1),
    ]
    body = []
    for row in rows:
        runs = row["runs"]
        body.append([
            f"`{row['model']}`",
            len(runs),
            Spread.of([100 * run["test_error"] for run in runs]),
            row["paper_error"],
            runs[0]["parameters"],
            runs[0]["macs"] / 1e6,
            statistics.median(run["seconds"] for run in runs) / 60,
        ])  # fmt: skip
    return _section(Table("Test error", columns, body))


def pointing_table(rows: list[dict]) -> str | None:
    """How often each map's peak lies on the object, the smallest of the seeds beside their mean."""
    columns = [
        text("model"),
        text("map"),
        decimal("peak on object, %", 1),
        decimal("smallest, %", 1),
        decimal("attention on object, %", 1),
    ]
    body = []
    for row in rows:
        for tap in (row["pointing"] or [{}])[0]:
            found = [one[tap] for one in row["pointing"]]
            peaks, shares = (
                [100 * one[key] for one in found] for key in ("pointing_game", "attention_on_object")
            )
            body.append([f"`{row['model']}`", tap, Spread.of(peaks), min(peaks), Spread.of(shares)])
    return _section(Table("Where attention points", columns, body)) if body else None


def robustness_table(rows: list[dict]) -> str | None:
    """Accuracy in % under FGSM and under the worst of all attacks."""
    attacked = [(attack, epsilon) for attack in ("FGSM", "worst case") for epsilon in EPSILONS]
    heads = ["clean", *(f"{attack}, eps {epsilon:g}" for attack, epsilon in attacked)]
    body = []
    for row in rows:
        if not row["robustness"]:
            continue
        cells = [_accuracy(row["robustness"], *point) for point in (("FGSM", 0.0), *attacked)]
        body.append([f"`{row['model']}`", *cells])
    if not body:
        return None
    images = next(row["robustness"][0]["images"] for row in rows if row["robustness"])
    caption = f"Accuracy in % under attack, {images} test images a run, eps of 255"
    return _section(Table(caption, [text("model"), *(decimal(head, 1) for head in heads)], body))


def _accuracy(found: list[dict], attack: str, epsilon: float) -> Spread:
    return Spread.of([100 * one["accuracy"][attack][one["epsilons"].index(epsilon)] for one in found])


def maps_table(rows: list[dict]) -> str | None:
    """Insertion and deletion areas of attention and evidence beside post-hoc maps and a random one."""
    columns = [
        text("model"),
        text("map"),
        decimal("insertion (higher is better)"),
        decimal("deletion (lower is better)"),
        decimal("entropy", 2),
    ]
    body = []
    for row in rows:
        for name in (row["maps"] or [{}])[0]:
            found = [one[name] for one in row["maps"] if name in one]
            areas = [Spread.of([one[key][0] for one in found]) for key in ("insertion", "deletion")]
            body.append([f"`{row['model']}`", name, *areas, Spread.of([one["entropy"] for one in found])])
    if not body:
        return None
    images = next(row["maps"][0]["random"]["images"] for row in rows if row["maps"])
    return _section(Table(f"Faithfulness of the maps, {images} test images a run", columns, body))


def _section(table: Table) -> str:
    """The table in Markdown under its caption."""
    return f"## {table.caption}\n\n{to_markdown(table)}"
