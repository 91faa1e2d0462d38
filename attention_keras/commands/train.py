"""What `python train.py` does: train, export, and say what to type next."""

from pathlib import Path

from attention_keras.commands.quiet_start import import_tensorflow
from attention_keras.runs.options import TrainConfig


def run(config: TrainConfig) -> int:
    """Train and export; the return value is the process's exit code."""
    import_tensorflow()
    from attention_keras.training.checkpointing import Interrupted
    from attention_keras.training.session import train

    try:
        result = train(config, report=_print)
    except Interrupted as interrupted:
        _print(f"{interrupted}; the same command continues the run")
        return interrupted.exit_code
    if not result.is_chief:
        return 0
    exported = _export(result.path, config) if config.export else None
    _print("\nnext:")
    _print(f"  python evaluate.py {result.path}")
    _print(f"  tensorboard --logdir {config.run_dir}")
    if exported:
        _print(
            f"  TF Serving: --model_base_path={exported.parent.resolve()} --model_name={exported.parent.name}"
        )
    return 0


def _export(run_path: Path, config: TrainConfig) -> Path:
    """The finished run's SavedModel; a run that was exported before keeps that version."""
    from attention_keras.serving.export import export_run, newest_version

    directory = Path(config.export_dir) / run_path.name
    earlier = newest_version(directory)
    if earlier and not config.restart and _is_export_of(earlier, run_path):
        return earlier
    exported = export_run(run_path, config.export_dir)
    _print(f"exported to {exported}")
    return exported


def _is_export_of(version: Path, run_path: Path) -> bool:
    return version.stat().st_mtime >= (run_path / "metrics.json").stat().st_mtime


def _print(line: str) -> None:
    print(line, flush=True)
