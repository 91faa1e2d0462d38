"""Images per second of the input pipeline, beside the plain per-image `tf.data` map.

    python -m benchmarks.input_pipeline

Both read the same uint8 images from memory and deliver shuffled, augmented, one-hot batches. Each pair is
measured in turn, several times, and the medians are compared, so that a busy machine slows both.
"""

import argparse
import statistics
import time
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from attention_keras.data.augment import PADDING
from attention_keras.data.augmentations import parse_augment
from attention_keras.data.pipeline import training_batches
from attention_keras.data.split import Split


@dataclass(frozen=True)
class Case:
    """What is measured: a dataset's shape and an augmentation."""

    dataset: str
    side: int
    images: int
    classes: int
    augment: str


CASES = (
    Case("svhn", 32, 65_931, 10, "none"),
    Case("svhn", 32, 65_931, 10, "crop"),
    Case("cifar10", 32, 45_000, 10, "flip"),
    Case("cifar10", 32, 45_000, 10, "flip+crop"),
    Case("cifar100", 32, 45_000, 100, "flip+crop_reflect"),
    Case("cifar100", 32, 45_000, 100, "flip+crop+cutmix"),
    Case("cub200", 80, 5_395, 200, "flip"),
    Case("cub200", 80, 5_395, 200, "flip+crop"),
)


def plain_batches(split: Split, case: Case, batch_size: int) -> tf.data.Dataset:
    """What one writes first: from_tensor_slices, shuffle, a map per image, batch, mix, prefetch."""
    plan = parse_augment(case.augment)
    moves = plan.moves
    shape = split.images.shape[1:]
    mode = "REFLECT" if "crop_reflect" in moves else "CONSTANT"

    def augment(image, label):
        if "flip" in moves:
            image = tf.image.random_flip_left_right(image)
        if "crop" in moves or "crop_reflect" in moves:
            image = tf.pad(image, [[PADDING, PADDING], [PADDING, PADDING], [0, 0]], mode)
            image = tf.image.random_crop(image, shape)
        return image, tf.one_hot(label, case.classes)

    with tf.device("CPU:0"):
        images = tf.data.Dataset.from_tensor_slices((split.images, split.labels))
    images = images.shuffle(min(10_000, len(split))).repeat()
    batches = images.map(augment, tf.data.AUTOTUNE).batch(batch_size)
    for name in plan.mixes:
        batches = batches.map(rival_mix(name), tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def rival_mix(name: str):
    """Keras's own layer in a map over batches."""
    layer = {"mixup": keras.layers.MixUp, "cutmix": keras.layers.CutMix}[name]()

    def mix(images, labels):
        mixed = layer({"images": images, "labels": labels})
        return mixed["images"], mixed["labels"]

    return mix


def images_per_second(batches: tf.data.Dataset, seconds: float) -> float:
    """Deliver batches for a while; start-up is not counted."""
    iterator = iter(batches)
    for _ in range(10):
        next(iterator)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        count += int(next(iterator)[1].shape[0])
    return count / (time.perf_counter() - began)


def measure(case: Case, batch_size: int, seconds: float, repeats: int) -> tuple[float, float]:
    """Medians of ours and of the plain pipeline, measured in turn."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (case.images, case.side, case.side, 3), dtype="uint8")
    split = Split(images, rng.integers(0, case.classes, case.images, dtype="int32"))
    ours = training_batches(
        split,
        num_classes=case.classes,
        batch_size=batch_size,
        seed=0,
        epochs=1_000_000,
        augment=case.augment,
    )
    plain = plain_batches(split, case, batch_size)
    pairs = [(images_per_second(ours, seconds), images_per_second(plain, seconds)) for _ in range(repeats)]
    return tuple(statistics.median(column) for column in zip(*pairs))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.input_pipeline", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--batch-size", type=int, default=128, help="images in a batch")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each case; the median counts")
    options = parser.parse_args()
    print(f"TensorFlow {tf.__version__}, batches of {options.batch_size}, median of {options.repeats}\n")
    print("| dataset | pixels | augmentation | images/s | plain map, images/s | ratio |")
    print("|---|---|---|---|---|---|")
    for case in CASES:
        ours, plain = measure(case, options.batch_size, options.seconds, options.repeats)
        print(
            f"| {case.dataset} | {case.side}x{case.side} | {case.augment} "
            f"| {ours:,.0f} | {plain:,.0f} | {ours / plain:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
