"""Train networks of the paper on one GPU with Keras on JAX, without TensorFlow.

    KERAS_BACKEND=jax python -m benchmarks.full_width DATA --models vgg-att2-concat-scaled vgg-hires

DATA is a folder that `python -m benchmarks.full_width.parts` wrote. Each network is trained for --seconds: a
few steps are timed, and then the number of epochs follows. results.jsonl in --output has a line for each
start, epoch and end; the table goes to the terminal. The same command goes on where an interrupted one has
saved its state (--save-every), and takes from results.jsonl what is finished.
"""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

import keras

from attention_keras.commands.command_line import exit_code
from attention_keras.errors import UserError
from attention_keras.models.zoo import list_models
from attention_keras.runs.recipes import MODERN
from benchmarks.full_width.parts import read_parts
from benchmarks.full_width.record import Record
from benchmarks.full_width.run import peak_flops, train
from benchmarks.full_width.saved_state import read_about
from benchmarks.full_width.setting import Budget, Setting, conditions_of

NUMBERS = ("width", "batch_size", "learning_rate", "weight_decay", "label_smoothing", "ema")
HEADS = (
    *("model", "seed", "epochs", "images/s", "utilisation", "seconds"),
    *("validation error", "test error", "with flips"),
)


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.full_width", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("data", type=Path, help="a folder with part0.npz and so on")
    parser.add_argument(
        "--models",
        nargs="+",
        default=["vgg-att2-concat-scaled"],
        choices=list_models(),
        metavar="NAME",
        help="networks to train",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="a training of each")
    parser.add_argument("--seconds", type=float, default=90, help="of training each network (default 90)")
    parser.add_argument("--epochs", type=int, help="a fixed number instead of --seconds")
    parser.add_argument("--output", type=Path, default=Path("runs/full_width"), help="folder of the results")
    parser.add_argument(
        "--precision", choices=["mixed_bfloat16", "float32"], default="mixed_bfloat16", help="of training"
    )
    parser.add_argument("--validation", type=int, default=5000, help="images held out (default 5000)")
    parser.add_argument("--limit", type=int, help="take only so many images of each split")
    parser.add_argument("--save-every", type=int, default=0, help="epochs between two saved states")
    parser.add_argument("--keep-weights", action="store_true", help="write trained weights, as bfloat16")
    for field in NUMBERS:
        value = getattr(MODERN, field)
        parser.add_argument(
            f"--{field.replace('_', '-')}", type=type(value), default=value, help=f"default {value}"
        )
    parser.add_argument("--augment", default=MODERN.augment, help=f"default {MODERN.augment}")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    options = parse(words)
    if keras.backend.backend() != "jax":
        raise UserError("this trains with JAX; set the environment variable KERAS_BACKEND=jax")
    pixels = read_parts(options.data)
    if options.limit:
        splits = (tuple(a[: options.limit] for a in split) for split in (pixels.train, pixels.test))
        pixels = dataclasses.replace(pixels, **dict(zip(("train", "test"), splits, strict=True)))
    if not 0 <= options.validation < len(pixels.train[0]):
        raise UserError(f"--validation must leave images to train on; there are {len(pixels.train[0])}")
    fields = {field: getattr(options, field) for field in (*NUMBERS, "augment")}
    recipe = dataclasses.replace(MODERN, **fields)
    options.output.mkdir(parents=True, exist_ok=True)
    setting = Setting(
        options.output, options.precision, options.validation, options.save_every, options.keep_weights
    )
    budget = Budget(options.epochs, options.seconds)
    conditions = conditions_of(recipe, pixels, budget, setting)
    # All are looked up before any is trained, so that a refusal does not come after hours.
    names = [(name, seed) for seed in options.seeds for name in options.models]
    ends = {key: _finished(*key, setting, conditions) for key in names}
    if not all(ends.values()):
        peak = peak_flops(options.precision)
        _say(f"a bare convolution reaches {peak / 1e12:.1f} TFLOP/s here")
    lines = ["| " + " | ".join(HEADS) + " |", "|---" * len(HEADS) + "|"]
    for (name, seed), end in ends.items():
        if end is None:
            end = train(name, recipe, pixels, budget, setting, seed, peak)
            keras.utils.clear_session()
        cells = (
            *(name, seed, end["epochs"], f"{end['images_per_second']:,.0f}"),
            *(f"{end['utilisation']:.0%}", f"{end['training_seconds']:.0f}"),
            *(_per_cent(end[k]) for k in ("validation_error", "test_error", "test_error_with_flips")),
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    print("\n".join(lines), flush=True)


def _finished(name: str, seed: int, setting: Setting, conditions: dict[str, Any]) -> dict[str, Any] | None:
    """The last line of a training that is finished; None where there is something to train.

    Raises:
        UserError: a training under other conditions is unfinished in its place.
    """
    end = Record(setting.output, name, seed).end(conditions, with_weights=setting.keep_weights)
    state_file = setting.state_file(name, seed)
    if end:
        _say(f"{name}, seed {seed}, is finished in {setting.output} and not trained again")
    elif state_file.exists():
        read_about(state_file, conditions)
    return end


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _per_cent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


if __name__ == "__main__":
    sys.exit(exit_code(main))
