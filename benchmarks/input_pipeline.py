"""Images per second of the input pipeline, beside the plain per-image `tf.data` map.

    python -m benchmarks.input_pipeline

Both read the same uint8 images from memory and deliver shuffled, augmented, one-hot batches. Each pair is
measured in turn, several times, and the medians are compared, so that a busy machine slows both.
"""

import statistics
import time

import keras
import numpy as np
import tensorflow as tf

from attention_keras.data.augment import PADDING
from attention_keras.data.pipeline import training_batches
from attention_keras.data.split import Split
from benchmarks.common import options_of

BATCH, REPEATS = 128, 3
CASES = (  # dataset, side, images, classes, augmentation
    ("svhn", 32, 65_931, 10, "none"),
    ("cifar10", 32, 45_000, 10, "flip+crop"),
    ("cifar100", 32, 45_000, 100, "flip+crop_reflect"),
    ("cifar100", 32, 45_000, 100, "flip+crop+cutmix"),
    ("cub200", 80, 5_395, 200, "flip+crop"),
)


def plain_batches(split: Split, num_classes: int, augmentation: str, batch_size: int) -> tf.data.Dataset:
    """What one writes first: from_tensor_slices, shuffle, a map per image, batch, CutMix, prefetch."""
    words, shape = augmentation.split("+"), split.images.shape[1:]
    mode = "REFLECT" if "crop_reflect" in words else "CONSTANT"

    def augment(image, label):
        if "flip" in words:
            image = tf.image.random_flip_left_right(image)
        if "crop" in words or "crop_reflect" in words:
            image = tf.pad(image, [[PADDING, PADDING], [PADDING, PADDING], [0, 0]], mode)
            image = tf.image.random_crop(image, shape)
        return image, tf.one_hot(label, num_classes)

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


def measure(side: int, images: int, num_classes: int, augment: str, seconds: float, batch_size=BATCH):
    """Medians of ours and of the plain pipeline, measured in turn."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, side, side, 3), dtype="uint8")
    split = Split(pixels, rng.integers(0, num_classes, images, dtype="int32"))
    options = {"num_classes": num_classes, "batch_size": batch_size, "augment": augment}
    ours = training_batches(split, seed=0, epochs=1_000_000, **options)
    plain = plain_batches(split, num_classes, augment, batch_size)
    pairs = [(images_per_second(ours, seconds), images_per_second(plain, seconds)) for _ in range(REPEATS)]
    return [statistics.median(column) for column in zip(*pairs)]


def main() -> None:
    parser = options_of("input_pipeline", __doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    options = parser.parse_args()
    print(f"TensorFlow {tf.__version__}, batches of {BATCH}, median of {REPEATS}\n")
    print("| dataset | pixels | augmentation | images/s | plain map, images/s | ratio |")
    print("|---|---|---|---|---|---|")
    for dataset, side, *case in CASES:
        ours, plain = measure(side, *case, options.seconds)
        print(f"| {dataset} | {side}x{side} | {case[-1]} | {ours:,.0f} | {plain:,.0f} | {ours / plain:.1f} |")


if __name__ == "__main__":
    main()
