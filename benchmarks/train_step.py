"""Training speed: images per second of networks and precisions, side by side.

    python -m benchmarks.train_step
    python -m benchmarks.train_step --variants plain no-dropout keras-batch-norm no-dropout+xla
    KERAS_BACKEND=jax python -m benchmarks.train_step --precisions bfloat16

Every case trains on random images held in memory, as `attention-keras train` does it but for the input
pipeline. Cases take turns, so that a busy machine slows them alike, and medians are compared; compile time
stands apart. Utilisation is the arithmetic of the convolutions and matrix products (three times the forward
pass) per second, as a share of what this machine reaches on a bare 3x3 convolution of the same type.
"""

import argparse
import contextlib
import itertools
import statistics
import sys
import time
from dataclasses import dataclass, field

import keras
import numpy as np

from attention_keras import build_model
from attention_keras.commands.command_line import exit_code
from attention_keras.errors import UserError
from attention_keras.models.parts import count_macs
from attention_keras.training.optimizers import build_optimizer
from benchmarks.common import convolution, in_turns, options_of

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
SHAPE, CLASSES = (32, 32, 3), 10
CHANGES = ("no-dropout", "keras-batch-norm", "xla", "no-xla", "4-steps-per-execution")
HEADS = (
    *("model", "type", "variant", "parameters", "M MACs"),
    *("compile, s", "images/s", "ratio", "GFLOP/s", "utilisation"),
)


class Stopwatch(keras.callbacks.Callback):
    """Seconds from the first step of a `fit` to its last; `fit` returns later, for tf.data's threads."""

    def on_train_begin(self, logs=None):
        self.began = time.perf_counter()

    def on_train_end(self, logs=None):
        self.seconds = time.perf_counter() - self.began


@dataclass
class Case:
    """A network in one precision and variant, and what was measured on it."""

    model: str
    dtype: str
    variant: str
    network: keras.Model
    fused: bool
    compile_seconds: float = 0.0
    step_seconds: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return statistics.median(self.step_seconds)

    def time_steps(self, images: np.ndarray, labels: np.ndarray, batch_size: int) -> float:
        """Seconds of a step, over a short `fit`."""
        stopwatch, norms = Stopwatch(), contextlib.nullcontext()
        if self.fused:  # as `attention-keras train` computes batch normalisation
            from attention_keras.training.device import fused_batch_norm

            norms = fused_batch_norm(self.network)
        with norms:
            self.network.fit(images, labels, batch_size, shuffle=False, verbose=0, callbacks=[stopwatch])
        return stopwatch.seconds / (len(images) // batch_size)

    def row(self, first: "Case", batch_size: int, peaks: dict[str, float]) -> list[str]:
        macs = count_macs(self.network)
        flops = 6 * macs * batch_size / self.seconds
        size = [f"{self.network.count_params():,}", f"{macs / 1e6:,.0f}"]
        speed, ratio = batch_size / self.seconds, first.seconds / self.seconds
        numbers = [f"{self.compile_seconds:.1f}", f"{speed:,.1f}", f"{ratio:.2f}", f"{flops / 1e9:,.0f}"]
        return [self.model, self.dtype, self.variant, *size, *numbers, f"{flops / peaks[self.dtype]:.0%}"]


def parse_variant(text: str) -> frozenset[str]:
    """What a variant changes in training as `train` does it: `plain`, or names joined by +."""
    changes = frozenset() if text == "plain" else frozenset(text.split("+"))
    if unknown := changes - set(CHANGES):
        raise UserError(f"unknown variant {min(unknown)!r}; allowed: plain, or any of {', '.join(CHANGES)}")
    return changes


def prepare(name: str, dtype: str, variant: str, options: argparse.Namespace) -> Case:
    """Build a network and take its first step, in which it is compiled."""
    changes = parse_variant(variant)
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(POLICIES[dtype])
    dropout = "no-dropout" not in changes
    model = build_model(name, SHAPE, CLASSES, width=options.width, dropout=dropout)
    keras.config.set_dtype_policy("float32")
    model.compile(
        build_optimizer("sgd", 0.01, 5e-4),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile(changes),
        steps_per_execution=4 if "4-steps-per-execution" in changes else 1,
    )
    fused = keras.backend.backend() == "tensorflow" and "keras-batch-norm" not in changes
    case = Case(name, dtype, variant, model, fused)
    case.compile_seconds = case.time_steps(*data(1, options.batch_size), options.batch_size)
    return case


def jit_compile(changes: frozenset[str]):
    """What Keras's `compile` takes: as the variant says, or else what training takes by itself."""
    if keras.backend.backend() == "tensorflow" and not changes & {"xla", "no-xla"}:
        from attention_keras.training.device import jit_compile as training_takes

        return training_takes()
    return "xla" in changes or ("auto" if "no-xla" not in changes else False)


def data(steps: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images `(n, h, w, 3)` and one-hot classes `(n, k)` for so many steps."""
    rng, count = np.random.default_rng(0), steps * batch_size
    images = rng.integers(0, 256, (count, *SHAPE)).astype("float32")
    return images, np.eye(CLASSES, dtype="float32")[rng.integers(0, CLASSES, count)]


def measure(options: argparse.Namespace) -> list[Case]:
    """All cases, in turns."""
    kinds = itertools.product(options.models, options.precisions, options.variants)
    cases = [prepare(*kind, options) for kind in kinds]
    images, labels = data(options.steps, options.batch_size)
    for case in cases:
        case.time_steps(images, labels, options.batch_size)  # to warm up
    for case in in_turns(cases, options.rounds):
        case.step_seconds.append(case.time_steps(images, labels, options.batch_size))
    for case in cases:  # the first fit took a step and the compilation
        case.compile_seconds = max(0.0, case.compile_seconds - case.seconds)
    return cases


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser, changes = options_of("train_step", __doc__), ", ".join(CHANGES)
    parser.add_argument("--models", nargs="+", default=["vgg-hires", "vgg-att2-concat-pc"], help="names")
    types = ["float32", "bfloat16"]
    parser.add_argument("--precisions", nargs="+", choices=POLICIES, default=types, help="compared")
    parser.add_argument("--width", type=float, default=0.25, help="factor on every channel count")
    parser.add_argument("--batch-size", type=int, default=64, help="images in a step")
    parser.add_argument("--variants", nargs="+", default=["plain"], help=f"plain, or joined by +: {changes}")
    parser.add_argument("--steps", type=int, default=4, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each case")
    options = parser.parse_args(words)
    asked = frozenset().union(*map(parse_variant, options.variants))
    if "4-steps-per-execution" in asked and options.steps % 4:
        raise UserError(f"4-steps-per-execution needs --steps that 4 divides; got {options.steps}")
    return options


def main() -> None:
    options = parse()
    peaks = {dtype: convolution(dtype) for dtype in options.precisions}
    reached = "; ".join(f"{dtype}: {peak / 1e9:,.0f} GFLOP/s" for dtype, peak in peaks.items())
    print(f"Keras {keras.__version__} on {keras.backend.backend()}, width {options.width:g}", end=", ")
    print(f"images of 32x32, batch {options.batch_size}", end=", ")
    print(f"medians of {options.rounds} x {options.steps} steps\na bare convolution reaches {reached}\n")
    cases = measure(options)
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for case in cases:
        print(f"| {' | '.join(case.row(cases[0], options.batch_size, peaks))} |", flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
