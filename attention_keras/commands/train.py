"""`attention-keras train`: train, export, and say what to type next."""

from collections.abc import Sequence
from pathlib import Path

from attention_keras.commands.command_line import in_flags, parse
from attention_keras.commands.quiet_start import import_tensorflow
from attention_keras.runs.checks import check_inputs
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.runs.names import run_of
from attention_keras.serving.card import read_card
from attention_keras.serving.versions import newest_version, refuse_unwritable

DESCRIPTION = """Train an attention classifier, without options on the embedded data (5 minutes on 2 cores).

Examples:
  attention-keras train --dataset cifar10 --recipe quick --compat dp
  attention-keras train --dataset folder:photos --backbone keras:MobileNetV2 --weights imagenet

The same command goes on with a run that was interrupted. Exit codes: 0 done, 2 a mistake in the command, 130
stopped by Ctrl-C, 143 by SIGTERM; while it trains, after saving. --help-all shows the other options too."""
NO_EXPORT = "none"


def main(words: Sequence[str], prog: str) -> int:
    """The command line; the return value is the exit code."""
    config = parse(RunConfig, words, description=DESCRIPTION, prog=prog)
    if config.restart or not run_of(config).is_finished:
        check_inputs(config)
    _refuse_unwritable_export(config)
    if config.has_files and not config.spec.is_brought:
        _print(
            f"hint      {config.model} learns from nothing, for hours; of photographs a trained network "
            "learns in minutes: --backbone keras:MobileNetV2 --weights imagenet"
        )
    import_tensorflow("train")
    from attention_keras.training.checkpoint import Interrupted
    from attention_keras.training.train import train

    try:
        result = train(config, report=_print)
    except Interrupted as interrupted:
        _print(f"{interrupted}; the same command continues the run")
        return interrupted.exit_code
    if not result.is_chief:
        return 0
    exported = config.export != NO_EXPORT
    if exported and _earlier_export(result.run, config.export) is None:
        from attention_keras.serving.export import export_run

        _print("exporting the model")
        [written] = export_run(result.run.path, config.export)
        _print(f"exported to {written.path}")
    _print("\nnext:")
    _print(f"  attention-keras evaluate classification {result.run.path}")
    _print(f"  tensorboard --logdir {config.run_dir}")
    if exported:
        base, name = Path(config.export).resolve() / result.run.name, result.run.name
        _print(f"  TF Serving: --model_base_path={base} --model_name={name}")
    return 0


def _refuse_unwritable_export(config: RunConfig) -> None:
    """A folder that the export could not be written to is refused before the training, not after it."""
    run = run_of(config)
    # Of several workers one writes, and it alone needs the folder; which one, they find out together.
    if config.export == NO_EXPORT or config.strategy == "multi_worker":
        return
    if config.restart or not run.is_finished or _earlier_export(run, config.export) is None:
        refuse_unwritable(Path(config.export) / run.name)


def _earlier_export(run: Run, folder: str) -> Path | None:
    """The newest version, if it was made from this run, which keeps it."""
    earlier = newest_version(Path(folder) / run.name)
    return earlier if earlier and read_card(earlier).get("run") == run.id else None


def _print(line: str) -> None:
    print(in_flags(line), flush=True)
