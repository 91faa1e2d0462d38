"""Images per second from a folder of large pictures, beside a plain `tf.data` pipeline and a training step.

    python -m benchmarks.streaming --folder PHOTOS
    python -m benchmarks.streaming --folder PHOTOS --backbone FILE.keras

Both pipelines decode every picture anew in every epoch and deliver shuffled batches of random parts, flipped
or not. The plain one is what one writes first: read_file, decode_jpeg, sample_distorted_bounding_box with the
same limits, crop, resize; for it, the folder must hold JPEG only. They take turns in one process, so that a
busy machine slows both. Whole pictures, resized as evaluation sees them, are measured too: so they come
without `resized_crop`, for features that are computed once, and in validation. With --backbone, steps of
fine-tuning all of its weights on ready batches tell how many images per second a training takes.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from attention_keras import attend
from attention_keras.data.datasets import load_dataset
from attention_keras.data.pipeline import training_batches
from attention_keras.data.resized_crop import RATIO, SCALE
from attention_keras.data.split import Split
from attention_keras.models.frozen import thaw
from attention_keras.models.graph import all_layers
from attention_keras.runs.model_file import load_model
from benchmarks.turns import in_turns


def streamed_batches(split: Split, classes: int, batch_size: int, augment: str) -> tf.data.Dataset:
    """Ours, for more epochs than are measured."""
    return training_batches(
        split, num_classes=classes, batch_size=batch_size, seed=0, epochs=10_000, augment=augment
    )


def plain_batches(split: Split, classes: int, batch_size: int, augment: str) -> tf.data.Dataset:
    """What one writes first."""
    size = split.pictures.to.size

    def part(content):
        image = tf.io.decode_jpeg(content, channels=3)
        if "resized_crop" in augment:
            start, extent, _ = tf.image.sample_distorted_bounding_box(
                tf.shape(image), [[[0.0, 0.0, 1.0, 1.0]]], aspect_ratio_range=RATIO, area_range=SCALE
            )
            image = tf.slice(image, start, extent)
        image = tf.image.resize(image, size)
        return tf.cast(tf.image.random_flip_left_right(image), tf.uint8)

    def read(file, label):
        return part(tf.io.read_file(file)), tf.one_hot(label, classes)

    files = tf.data.Dataset.from_tensor_slices((list(map(str, split.pictures.files)), split.labels))
    files = files.shuffle(len(split)).repeat().map(read, tf.data.AUTOTUNE)
    return files.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def delivery(batches: tf.data.Dataset, steps: int) -> Callable[[], tuple[float, float]]:
    """Of `steps` batches after the first, images per second, and milliseconds of all cores for an image.

    A new iterator has no batch ready from before. The second number hardly depends on what else is running.
    """

    def measure() -> tuple[float, float]:
        iterator = iter(batches)
        next(iterator)
        began, used = time.perf_counter(), time.process_time()
        count = sum(int(next(iterator)[1].shape[0]) for _ in range(steps))
        return count / (time.perf_counter() - began), 1e3 * (time.process_time() - used) / count

    return measure


def training(file: str, classes: int, batch_size: int, steps: int) -> Callable[[], float]:
    """Images per second of fine-tuning all weights of a backbone, as the recipe does it, on ready pixels."""
    backbone = load_model(file)
    thaw(list(all_layers(backbone)))
    model = attend(backbone, "auto", classes)
    model.compile("adamw", keras.losses.CategoricalCrossentropy(from_logits=True))
    images = np.random.default_rng(0).random((batch_size, *model.input_shape[1:]), "float32")
    labels = np.eye(classes, dtype="float32")[np.arange(batch_size) % classes]
    model.train_on_batch(images, labels)

    def measure() -> float:
        began = time.perf_counter()
        for _ in range(steps):
            model.train_on_batch(images, labels)
        return steps * batch_size / (time.perf_counter() - began)

    return measure


def measured(measures: dict[str, Callable], rounds: int) -> dict[str, list]:
    """What each gives in each round."""
    found: dict[str, list] = {name: [] for name in measures}
    for name in in_turns(list(measures), rounds):
        found[name].append(measures[name]())
    return found


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.streaming",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, required=True, help="of JPEG files in folders by class")
    parser.add_argument("--backbone", help="a .keras file, whose fine-tuning is timed too")
    parser.add_argument("--size", type=int, default=224, help="height and width of the images")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8, help="batches in each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    options = parse(words)
    dataset = load_dataset(f"folder:{options.folder}", image_size=options.size, stream="on")
    split, classes, steps = dataset.train, dataset.num_classes, options.steps
    print(
        f"TensorFlow {tf.__version__}, {len(split)} pictures, batches of {options.batch_size} at "
        f"{options.size}x{options.size}, medians of {options.rounds} rounds of {steps} batches\n"
    )
    print("| | images/s | plain | ratio | lowest ratio | CPU ms/image | plain | ratio |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for title, augment in (("random-resized crop", "flip+resized_crop"), ("whole pictures", "flip")):
        made = (
            make(split, classes, options.batch_size, augment) for make in (streamed_batches, plain_batches)
        )
        found = measured(
            dict(zip(("ours", "plain"), (delivery(each, steps) for each in made))), options.rounds
        )
        (rate, plain_rate), (used, plain_used) = zip(
            *(map(statistics.median, zip(*of)) for of in found.values())
        )
        ratios = [ours[0] / plain[0] for ours, plain in zip(*found.values())]
        delivered = f"{rate:,.0f} | {plain_rate:,.0f} | {statistics.median(ratios):.2f} | {min(ratios):.2f}"
        cost = f"{used:.1f} | {plain_used:.1f} | {plain_used / used:.2f}"
        print(f"| {title} | {delivered} | {cost} |", flush=True)
    if options.backbone:
        measure = training(options.backbone, classes, options.batch_size, max(1, steps // 4))
        rates = measured({"training": measure}, options.rounds)["training"]
        median, most = statistics.median(rates), max(rates)
        print(f"\na step of fine-tuning takes {median:,.1f} images/s, at most {most:,.1f}")


if __name__ == "__main__":
    main()
