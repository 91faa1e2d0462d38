"""Training speed: images per second of networks and precisions, side by side.

    python -m benchmarks.train_step
    python -m benchmarks.train_step --models vgg-att3-concat-pc --width 1 --batch-size 32 --steps 2
    python -m benchmarks.train_step --variants plain no-dropout keras-batch-norm no-dropout+xla
    KERAS_BACKEND=jax python -m benchmarks.train_step --precisions bfloat16
    python -m benchmarks.train_step --compare mine.py --python ~/torch/bin/python

Every case trains on random images held in memory, as `attention-keras train` does it but for the input
pipeline. Cases take turns, so that a busy machine slows them alike, and medians are compared; compile time
stands apart. Utilisation is the arithmetic of the convolutions and matrix products (three times the forward
pass) per second, as a share of what this machine reaches on a bare 3x3 convolution of the same type, measured
here.

`--compare FILE` times a step of anything else in the same turns, such as a PyTorch network. The file defines
`training_step(images, labels)`, given a batch `(b, h, w, 3)` in [0, 255] and one-hot classes `(b, k)`, which
returns a function that takes one step and comes back when it is done. Each file runs in a process of its own;
`--python` names the interpreter of another environment.
"""

import argparse
import itertools
import sys

import keras
import numpy as np

from attention_keras import build_model
from attention_keras.commands.command_line import exit_code
from attention_keras.errors import UserError
from attention_keras.models.compute import count_macs
from attention_keras.training.optimizers import build_optimizer
from benchmarks.contestants import Case, Contestant, Rival
from benchmarks.peak import convolution, matrix_product
from benchmarks.turns import in_turns

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
HEADS = (
    "model",
    "type",
    "variant",
    "parameters",
    "M MACs",
    "compile, s",
    "images/s",
    "ratio",
    "GFLOP/s",
    "utilisation",
)
CHANGES = ("no-dropout", "keras-batch-norm", "xla", "no-xla", "4-steps-per-execution")


def parse_variant(text: str) -> frozenset[str]:
    """What a variant changes in training as `attention-keras train` does it: `plain`, or names joined by +.

    Raises:
        UserError: an unknown change.

    Example:
        >>> sorted(parse_variant("no-dropout+xla")), parse_variant("plain")
        (['no-dropout', 'xla'], frozenset())
    """
    changes = frozenset() if text == "plain" else frozenset(text.split("+"))
    if unknown := changes - set(CHANGES):
        raise UserError(f"unknown variant {min(unknown)!r}; allowed: plain, or any of {', '.join(CHANGES)}")
    return changes


def prepare(name: str, dtype: str, variant: str, options: argparse.Namespace) -> Case:
    """Build a network and take its first step, in which it is compiled."""
    changes = parse_variant(variant)
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(POLICIES[dtype])
    shape, dropout = (options.size, options.size, 3), "no-dropout" not in changes
    model = build_model(name, shape, options.classes, width=options.width, dropout=dropout)
    keras.config.set_dtype_policy("float32")
    model.compile(
        build_optimizer("sgd", 0.01, 5e-4),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile(changes),
        steps_per_execution=4 if "4-steps-per-execution" in changes else 1,
    )
    fused = keras.backend.backend() == "tensorflow" and "keras-batch-norm" not in changes
    case = Case(name, dtype, variant, model, count_macs(model), fused)
    case.compile_seconds = case.time_steps(*data(options, steps=1), options.batch_size)
    return case


def jit_compile(changes: frozenset[str]):
    """What Keras's `compile` takes: as the variant says, or else what training takes by itself.

    Example:
        >>> jit_compile(parse_variant("no-dropout+xla")), jit_compile(parse_variant("no-xla"))
        (True, False)
    """
    if changes & {"xla", "no-xla"}:
        return "xla" in changes
    if keras.backend.backend() != "tensorflow":
        return "auto"
    from attention_keras.training.device import jit_compile as training_takes

    return training_takes()


def data(options: argparse.Namespace, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images `(n, h, w, 3)` and one-hot classes `(n, k)` for so many steps."""
    rng = np.random.default_rng(0)
    count = steps * options.batch_size
    images = rng.integers(0, 256, (count, options.size, options.size, 3)).astype("float32")
    return images, np.eye(options.classes, dtype="float32")[rng.integers(0, options.classes, count)]


def measure(options: argparse.Namespace) -> list[Contestant]:
    """All cases, in turns."""
    kinds = itertools.product(options.models, options.precisions, options.variants)
    cases = [prepare(*kind, options) for kind in kinds]
    rivals = [Rival.start(path, options.python, *data(options, steps=1)) for path in options.compare]
    contestants = cases + rivals
    images, labels = data(options, options.steps)
    for each in contestants:
        each.time_steps(images, labels, options.batch_size)  # to warm up
    for each in in_turns(contestants, options.rounds):
        each.step_seconds.append(each.time_steps(images, labels, options.batch_size))
    for rival in rivals:
        rival.stop()
    for case in cases:
        # The first fit took a step and the compilation.
        case.compile_seconds = max(0.0, case.compile_seconds - case.seconds)
    return contestants


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The options.

    Raises:
        UserError: variants that there are not, or that do not fit.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_step",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--models", nargs="+", default=["vgg-hires", "vgg-att2-concat-pc"], help="names")
    parser.add_argument(
        "--precisions", nargs="+", choices=POLICIES, default=["float32", "bfloat16"], help="compared"
    )
    parser.add_argument("--width", type=float, default=0.25, help="factor on every channel count")
    parser.add_argument("--size", type=int, default=32, help="height and width of the images")
    parser.add_argument("--classes", type=int, default=10, help="of the networks")
    parser.add_argument("--batch-size", type=int, default=64, help="images in a step")
    parser.add_argument(
        "--variants", nargs="+", default=["plain"], help=f"plain, or joined by +: {', '.join(CHANGES)}"
    )
    parser.add_argument("--compare", nargs="+", default=[], metavar="FILE", help="time their steps too")
    parser.add_argument("--python", default=sys.executable, help="interpreter for these files")
    parser.add_argument("--steps", type=int, default=4, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each case")
    options = parser.parse_args(words)
    changes = frozenset().union(*map(parse_variant, options.variants))
    if "4-steps-per-execution" in changes and options.steps % 4:
        raise UserError(f"4-steps-per-execution needs --steps that 4 divides; got {options.steps}")
    return options


def main() -> None:
    options = parse()
    peaks = {dtype: convolution(dtype) for dtype in options.precisions}
    products = {dtype: matrix_product(dtype) for dtype in options.precisions}
    reached = "; ".join(
        f"{dtype}: matrix product {products[dtype] / 1e9:,.0f}, convolution {peaks[dtype] / 1e9:,.0f} GFLOP/s"
        for dtype in options.precisions
    )
    print(
        f"Keras {keras.__version__} on {keras.backend.backend()}, width {options.width:g}, images of "
        f"{options.size}x{options.size}, batch {options.batch_size}, medians of {options.rounds} x "
        f"{options.steps} steps\nthis machine reaches, {reached}\n"
    )
    cases = measure(options)
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for case in cases:
        print(f"| {' | '.join(case.row(cases[0], options.batch_size, peaks))} |", flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
