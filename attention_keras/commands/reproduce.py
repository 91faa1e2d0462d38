"""`attention-keras reproduce`: a table of results with one command."""

from collections.abc import Sequence

from attention_keras.commands.command_line import STOPPED, parse
from attention_keras.commands.quiet_start import refuse_other_backends
from attention_keras.errors import UserError
from attention_keras.reproduce.experiments import TABLES
from attention_keras.reproduce.options import ReproduceOptions

DESCRIPTION = """Train every network of a table with every seed, measure the runs, and write the table.

results.md, results.csv and results.json lie beside the runs. The same command goes on where an earlier one
was stopped. Exit codes: 0 done, 2 a mistake in the command or a run that failed, 130 stopped by Ctrl-C."""


def main(words: Sequence[str], prog: str) -> int:
    """The command line; the return value is the exit code.

    Args:
        words: after the command's name.
        prog: how the user calls the command.
    """
    options = parse(ReproduceOptions, words, description=DESCRIPTION, prog=prog)
    if options.table is None:
        for name, experiment in TABLES.items():
            print(f"{name:<17}{len(experiment.models):>3} rows: {experiment.about}")
        return 0
    refuse_other_backends("reproduce")  # before its runs do, one by one
    from attention_keras.reproduce.grid import run_grid
    from attention_keras.reproduce.results import write_tables

    failed: list[str] = []
    stopped = False
    try:
        failed = run_grid(options, report=_print)
    except KeyboardInterrupt:
        stopped = True
    path = write_tables(options)
    _print(f"\n{path.read_text(encoding='utf-8')}\nwritten to {path}")
    if stopped:
        _print("stopped; the table has what is finished, and the same command goes on from here")
        return STOPPED
    if failed:
        raise UserError(f"{len(failed)} runs failed ({', '.join(failed)}); the table has the others")
    return 0


def _print(line: str) -> None:
    print(line, flush=True)
