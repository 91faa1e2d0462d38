"""`attention-keras train`: train, export, and say what to type next."""

from collections.abc import Sequence
from pathlib import Path

from attention_keras.commands.command_line import import_tensorflow, parse, say
from attention_keras.data.registry import find_dataset
from attention_keras.errors import UserError
from attention_keras.layers.choices import IMAGENET
from attention_keras.runs.config import RunConfig
from attention_keras.serving.versions import unfinished_version, version_of_run

DESCRIPTION = """Train an attention classifier, without options on the embedded data (5 minutes on 2 cores).

Examples:
  attention-keras train --dataset cifar10 --recipe quick --compat dp
  attention-keras train --dataset folder:photos --backbone keras:MobileNetV2 --weights imagenet

The same command goes on with a run that was interrupted. Exit codes: 0 done, 2 a mistake in the command, 130
stopped by Ctrl-C, 143 by SIGTERM; while it trains, after saving. --help-all shows the other options too."""
NO_EXPORT = "none"


def main(words: Sequence[str], prog: str) -> int:
    config = parse(RunConfig, words, description=DESCRIPTION, prog=prog)
    from attention_keras.runs.names import run_of  # brings numpy, which help does without

    run, exports = run_of(config), config.export != NO_EXPORT
    begins = config.restart or not run.is_finished
    if begins:  # what is not there is told before TensorFlow is imported
        weights = "" if config.weights == IMAGENET else config.weights
        kind, _, path = config.dataset.partition(":")
        if kind not in ("folder", "table", "tfds"):
            find_dataset(config.dataset)
        for file in ("" if kind == "tfds" else path, config.spec.file, config.init_from, weights):
            if file and not Path(file).exists():
                raise UserError(f"there is no {file}")
    # A folder that cannot be written is refused before the training; of several workers one alone needs it.
    place, alone = Path(config.export, run.name), config.strategy != "multi_worker"
    if exports and alone and (begins or version_of_run(place, run.id) is None):
        with unfinished_version(place):
            pass
    if config.has_files and not config.spec.is_brought:
        say(
            f"hint      {config.model} learns from nothing, for hours; of photographs a trained network "
            "learns in minutes: --backbone keras:MobileNetV2 --weights imagenet"
        )
    import_tensorflow("train")
    from attention_keras.training.checkpoint import Interrupted
    from attention_keras.training.train import train

    try:
        result = train(config, report=say)
    except Interrupted as interrupted:
        say(f"{interrupted}; the same command continues the run")
        return interrupted.exit_code
    if not result.is_chief:
        return 0
    run = result.run
    if exports and version_of_run(place, run.id) is None:
        from attention_keras.serving.export import export_run

        say("exporting the model")
        [written] = export_run(run.path, config.export)
        say(f"exported to {written.path}")
    say("\nnext:")
    say(f"  attention-keras evaluate classification {run.path}")
    say(f"  tensorboard --logdir {config.run_dir}")
    if exports:
        say(f"  TF Serving: --model_base_path={place.resolve()} --model_name={run.name}")
    return 0
