"""`attention-keras reproduce`: a table of results with one command."""

from collections.abc import Sequence

from attention_keras.commands.command_line import parse
from attention_keras.commands.quiet_start import refuse_other_backends
from attention_keras.errors import UserError
from attention_keras.reproduce.experiments import TABLES
from attention_keras.reproduce.options import ReproduceOptions
from attention_keras.runs.signals import SIGNAL_EXIT_BASE

DESCRIPTION = """Train every network of a table with every seed, measure the runs, and write the table.

results.md, results.csv and results.json lie beside the runs. The same command goes on where an earlier one
was stopped. A run that fails keeps no other from being done; Ctrl-C and SIGTERM save the runs in progress.
The table has what is finished. Exit codes: 0 done, 2 a mistake in the command or a run that failed, 130
stopped by Ctrl-C, 143 by SIGTERM."""


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

    outcome = run_grid(options, report=_print)
    path = write_tables(options)
    _print(f"\n{path.read_text(encoding='utf-8')}\nwritten to {path}")
    if outcome.failures:
        _print("\nfailed:\n" + "\n".join(f"  {failure}" for failure in outcome.failures))
    if outcome.stopped_by:
        _print(f"stopped by {outcome.stopped_by.name}; the same command goes on from here")
        return SIGNAL_EXIT_BASE + outcome.stopped_by
    if outcome.failures:
        failed, total = len(outcome.failures), len(options.runs())
        raise UserError(
            f"{failed} of {total} runs failed; the same command tries {'it' if failed == 1 else 'them'} again"
        )
    return 0


def _print(line: str) -> None:
    print(line, flush=True)
