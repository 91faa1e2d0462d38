"""What benchmarks share: options, measures that take turns, images, and the table of a record of seeds."""

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import keras
import numpy as np
import pandas as pd
from keras import ops
from PIL import Image

from attention_keras.measures.faithfulness import baselines, perturbation_curves, pixel_order

Contestant = TypeVar("Contestant")
CONVOLUTION = (32, 32, 32, 256)  # b h w c: the widest layers of the attention trunk's first stage
MEASURES = ["row", "measure", "seed", "value"]
POINTS = 8


def options_of(name: str, about: str) -> argparse.ArgumentParser:
    """A parser for the benchmark of this name and docstring."""
    return argparse.ArgumentParser(f"python -m benchmarks.{name}", description=about.splitlines()[0])


def table(record: pd.DataFrame, first: str) -> str:
    """A Markdown table of a record `MEASURES`: mean over seeds ± its standard error."""
    groups = record.groupby(["row", "measure"], sort=False).value.agg(["mean", "sem"])
    cells = groups.apply(lambda cell: f"{cell['mean']:.1f} ± {cell['sem']:.1f}", axis=1)
    cells = cells.unstack(sort=False).fillna("")
    lines = [f"| {first} | {' | '.join(cells.columns)} |", "|---|" + "---:|" * len(cells.columns)]
    lines += [f"| {name} | {' | '.join(row)} |" for name, row in zip(cells.index, cells.to_numpy())]
    return "\n".join(lines)


def pixels(paths, size: int) -> np.ndarray:
    """`(n, size, size, 3)` float32."""
    images = [open_rgb(path).resize((size, size), Image.Resampling.BILINEAR) for path in paths]
    return np.stack([np.asarray(image, "float32") for image in images])


def open_rgb(path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def perturbation(maps: dict, predict: Callable, images: np.ndarray, classes: np.ndarray, seed: int) -> dict:
    """Map, and insertion or deletion -> the area of each image."""
    mean, blurred = baselines(images)
    found = {}
    for name, levels in maps.items():
        order = pixel_order(levels, images.shape[1:3], seed)
        for measure, start, end in (("insertion", blurred, images), ("deletion", images, mean)):
            found[name, measure] = perturbation_curves(predict, start, end, order, classes, POINTS).areas
    return found


def in_turns(contestants: list[Contestant], rounds: int) -> Iterator[Contestant]:
    """Each contestant once a round, first equally often, so that a busy machine slows all alike."""
    for turn in range(rounds):
        first = turn % len(contestants)
        yield from contestants[first:] + contestants[:first]


def medians(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each call, measured in turns, after two to warm up."""
    for call in calls.values():
        call()
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for name in in_turns(list(calls), rounds):
        began = time.perf_counter()
        calls[name]()
        seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def convolution(dtype: str, shape: tuple[int, int, int, int] = CONVOLUTION, repeats: int = 5) -> float:
    """FLOP/s of a 3x3 convolution that keeps the number of channels, forward; the fastest call counts."""
    channels = shape[-1]
    images = ops.cast(keras.random.normal(shape), dtype)
    kernel = ops.cast(keras.random.normal((3, 3, channels, channels)), dtype)

    def convolve(x, k):  # to one number, so that the copy to the host takes no time
        return ops.sum(ops.cast(ops.conv(x, k, padding="same"), "float32"))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        convolve = tf.function(convolve, autograph=False)
    elif keras.backend.backend() == "jax":
        import jax

        convolve = jax.jit(convolve)
    durations = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        ops.convert_to_numpy(convolve(images, kernel))
        durations.append(time.perf_counter() - began)
    return 2 * 9 * channels * math.prod(shape) / min(durations[1:])
