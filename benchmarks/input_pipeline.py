"""Images per second of the input pipeline, beside the plain per-image `tf.data` map.

    python -m benchmarks.input_pipeline

Both read the same uint8 images from memory and deliver shuffled, augmented, one-hot batches. Each pair is
measured in turn, several times, and the medians are compared, so that a busy machine slows both.
"""

import argparse
import statistics
import time
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from attention_keras.data.augment import PADDING
from attention_keras.data.pipeline import training_batches
from attention_keras.data.split import Split


class Case(NamedTuple):
    """A dataset's shape and an augmentation."""

    dataset: str
    side: int
    images: int
    classes: int
    augment: str


CASES = (
    Case("svhn", 32, 65_931, 10, "none"),
    Case("cifar10", 32, 45_000, 10, "flip+crop"),
    Case("cifar100", 32, 45_000, 100, "flip+crop_reflect"),
    Case("cifar100", 32, 45_000, 100, "flip+crop+cutmix"),
    Case("cub200", 80, 5_395, 200, "flip+crop"),
)


def plain_batches(split: Split, case: Case, batch_size: int) -> tf.data.Dataset:
    """What one writes first: from_tensor_slices, shuffle, a map per image, batch, CutMix, prefetch."""
    words, shape = case.augment.split("+"), split.images.shape[1:]
    mode = "REFLECT" if "crop_reflect" in words else "CONSTANT"

    def augment(image, label):
        if "flip" in words:
            image = tf.image.random_flip_left_right(image)
        if "crop" in words or "crop_reflect" in words:
            image = tf.pad(image, [[PADDING, PADDING], [PADDING, PADDING], [0, 0]], mode)
            image = tf.image.random_crop(image, shape)
        return image, tf.one_hot(label, case.classes)

    with tf.device("CPU:0"):
        images = tf.data.Dataset.from_tensor_slices((split.images, split.labels))
    images = images.shuffle(min(10_000, len(split))).repeat()
    batches = images.map(augment, tf.data.AUTOTUNE).batch(batch_size)
    if "cutmix" in words:
        layer = keras.layers.CutMix()
        batches = batches.map(lambda *pair: tuple(layer(dict(zip(("images", "labels"), pair))).values()))
    return batches.prefetch(tf.data.AUTOTUNE)


def images_per_second(batches: tf.data.Dataset, seconds: float) -> float:
    """Deliver batches for a while; start-up is not counted."""
    iterator = iter(batches)
    for _ in range(10):
        next(iterator)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        count += int(next(iterator)[1].shape[0])
    return count / (time.perf_counter() - began)


def measure(case: Case, batch_size: int, seconds: float, repeats: int) -> list[float]:
    """Medians of ours and of the plain pipeline, measured in turn."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (case.images, case.side, case.side, 3), dtype="uint8")
    split = Split(images, rng.integers(0, case.classes, case.images, dtype="int32"))
    options = {"num_classes": case.classes, "batch_size": batch_size, "augment": case.augment}
    ours = training_batches(split, seed=0, epochs=1_000_000, **options)
    plain = plain_batches(split, case, batch_size)
    pairs = [(images_per_second(ours, seconds), images_per_second(plain, seconds)) for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*pairs)]


def main(words: list[str] | None = None) -> None:
    about = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.input_pipeline", description=about)
    parser.add_argument("--batch-size", type=int, default=128, help="images in a batch")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each case; the median counts")
    options = parser.parse_args(words)
    print(f"TensorFlow {tf.__version__}, batches of {options.batch_size}, median of {options.repeats}\n")
    print("| dataset | pixels | augmentation | images/s | plain map, images/s | ratio |")
    print("|---|---|---|---|---|---|")
    for case in CASES:
        ours, plain = measure(case, options.batch_size, options.seconds, options.repeats)
        speeds = f"{ours:,.0f} | {plain:,.0f} | {ours / plain:.1f}"
        print(f"| {case.dataset} | {case.side}x{case.side} | {case.augment} | {speeds} |", flush=True)


if __name__ == "__main__":
    main()
