"""`attention-keras train`: train, export, and say what to type next."""

from collections.abc import Sequence
from pathlib import Path

from attention_keras.commands.command_line import parse
from attention_keras.commands.quiet_start import import_tensorflow
from attention_keras.runs.directory import Run
from attention_keras.runs.options import TrainOptions
from attention_keras.serving.card import read_card
from attention_keras.serving.versions import newest_version, refuse_unwritable

DESCRIPTION = """Train an attention classifier, without options on the embedded data (5 minutes on 2 cores).

The same command goes on with a run that was interrupted. Results go to runs/<name>/ and
saved_models/<name>/<version>/. `attention-keras list-models` shows the networks. Exit codes: 0 done, 2 a
mistake in the command, 130 stopped by Ctrl-C, 143 by SIGTERM; while it trains, after saving."""


def main(words: Sequence[str], prog: str) -> int:
    """The command line; the return value is the exit code.

    Args:
        words: after the command's name.
        prog: how the user calls the command.
    """
    if "--list-models" in words:
        from attention_keras.commands.list_models import print_models

        import_tensorflow("list-models")
        print_models()
        return 0
    return run(parse(TrainOptions, words, description=DESCRIPTION, prog=prog))


def run(options: TrainOptions) -> int:
    """Train and export; the return value is the exit code."""
    _refuse_unwritable_export(options)
    import_tensorflow("train")
    from attention_keras.training.checkpointing import Interrupted
    from attention_keras.training.train import train

    try:
        result = train(options, report=_print)
    except Interrupted as interrupted:
        _print(f"{interrupted}; the same command continues the run")
        return interrupted.exit_code
    if not result.is_chief:
        return 0
    exported = _export(result.run, options.machine.export_dir) if options.machine.export else None
    _print("\nnext:")
    _print(f"  attention-keras evaluate classification {result.run.path}")
    _print(f"  tensorboard --logdir {options.machine.run_dir}")
    if exported:
        name = exported.parent.name
        _print(f"  TF Serving: --model_base_path={exported.parent.resolve()} --model_name={name}")
    return 0


def _refuse_unwritable_export(options: TrainOptions) -> None:
    """A folder that the export could not be written to is refused before the training, not after it.

    Raises:
        UserError: one line says which folder, and why.
    """
    machine, run = options.machine, Run(options.run_path)
    # Of several workers one writes, and it alone needs the folder; which one, they find out together.
    if not machine.export or machine.strategy == "multi_worker":
        return
    if machine.restart or not run.is_finished or _earlier_export(run, machine.export_dir) is None:
        refuse_unwritable(Path(machine.export_dir) / run.name)


def _earlier_export(run: Run, export_dir: str) -> Path | None:
    """The newest version, if it was made from this run."""
    earlier = newest_version(Path(export_dir) / run.name)
    return earlier if earlier and read_card(earlier).get("run") == run.id else None


def _export(run: Run, export_dir: str) -> Path:
    """The finished run's SavedModel; a run that was exported before keeps that version."""
    from attention_keras.serving.export import export_run

    earlier = _earlier_export(run, export_dir)
    if earlier:
        return earlier
    _print("exporting the model")
    [written] = export_run(run.path, export_dir)
    exported = written.path
    _print(f"exported to {exported}")
    return exported


def _print(line: str) -> None:
    print(line, flush=True)
