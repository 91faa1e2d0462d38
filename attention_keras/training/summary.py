"""What a run is about to do, for a person to check before it takes hours."""

import time
from pathlib import Path

import keras
import tensorflow as tf

from attention_keras.data.datasets import ImageDataset
from attention_keras.data.rows import ImageRows
from attention_keras.models.compute import count_macs, count_parameters
from attention_keras.runs.config import RunConfig
from attention_keras.runs.durations import duration
from attention_keras.runs.names import words_of

DAY = 86400
NVIDIA_DRIVER = Path("/proc/driver/nvidia")


def summarize(config: RunConfig, dataset: ImageDataset, model: keras.Model, strategy) -> list[str]:
    """The lines."""
    devices = tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("CPU")
    height, width, _ = dataset.image_shape
    seconds = estimate_seconds(config, dataset, model)
    streamed = isinstance(dataset.train.images, ImageRows)
    lines = [
        f"model     {config.model}, width {config.width:g}: {count_parameters(model):,} parameters, "
        f"{count_macs(model) / 1e6:,.0f} M multiply-adds per image",
        f"data      {dataset.name}: {len(dataset.train):,} training and {len(dataset.validation):,} "
        f"validation images of {width}x{height}, {dataset.num_classes} classes"
        + ", decoded from their files in each epoch"
        * streamed,
        f"recipe    {config.recipe}: {', '.join(words_of(config))}",
        f"device    {len(devices)} x {devices[0].device_type}, {config.precision}, strategy "
        f"{type(strategy).__name__ if strategy else 'none'}",
        f"time      about {duration(seconds)} (estimate)",
    ]
    if "flip" in config.augment.split("+") and not dataset.mirror_symmetric:
        lines.append(f"WARNING   augment flips images, and a mirrored image of {dataset.name} is another one")
    if devices[0].device_type == "CPU" and NVIDIA_DRIVER.exists():
        lines.append(
            "WARNING   this machine has an NVIDIA driver, but TensorFlow sees no GPU; "
            'pip install "tensorflow[and-cuda]" brings the libraries it needs'
        )
    if seconds > DAY:
        lines.append(
            "WARNING   this takes more than a day on this device; a GPU, a smaller width, fewer epochs "
            "or a limit shorten it, and an interrupted run resumes with the same command"
        )
    return lines


def estimate_seconds(config: RunConfig, dataset: ImageDataset, model: keras.Model) -> float:
    """Time of the run, from two timed forward passes; a backward pass costs about two forward ones.

    While the backbone is frozen, the images go forward once for all epochs. Each pass reads them, which takes
    time where they are files to decode.
    """
    start = time.perf_counter()
    images = tf.constant(dataset.train.images[: min(config.batch_size, 64)], "float32")
    reading = time.perf_counter() - start
    forward = tf.function(lambda pixels: model(pixels, training=False)["logits"], autograph=False)
    durations = []
    for _ in range(3):
        start = time.perf_counter()
        keras.ops.convert_to_numpy(forward(images))
        durations.append(time.perf_counter() - start)
    epochs, once = config.epochs, bool(config.frozen_epochs)
    seconds = (3 * epochs + once) * min(durations) + (epochs + once) * reading
    return seconds / len(images) * len(dataset.train)
