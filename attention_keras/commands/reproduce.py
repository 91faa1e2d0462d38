"""Make a table of results: `python -m attention_keras.reproduce TABLE --seeds 3`.

Trains every network of the table with every seed, measures the runs, and writes results.md, results.csv and
results.json beside them. The same command goes on where an earlier one was stopped. Exit codes: 0 done,
2 a mistake in the command or a run that failed, 130 stopped by Ctrl-C after saving.
"""

import sys

from attention_keras.commands.command_line import exit_code, parse
from attention_keras.reproduce.experiments import TABLES
from attention_keras.reproduce.options import ReproduceConfig


def main() -> int:
    config = parse(ReproduceConfig, description=__doc__)
    if config.table is None:
        for name, experiment in TABLES.items():
            print(f"{name:<14}{len(experiment.models):>3} networks: {experiment.about}")
        return 0
    from attention_keras.reproduce.grid import run_grid
    from attention_keras.reproduce.results import write_tables

    try:
        run_grid(config, report=_print)
    except KeyboardInterrupt:
        _print("stopped; the same command goes on from here")
        return 130
    path = write_tables(config)
    _print(f"\n{path.read_text(encoding='utf-8')}\nwritten to {path}")
    return 0


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
