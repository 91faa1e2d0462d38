"""What a person sees of a run: what it is about to do, how far it is, curves and maps in TensorBoard."""

import time
from collections.abc import Callable, Container, Sequence
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from sklearn.metrics import confusion_matrix

from attention_keras.data.image_files import upright_size
from attention_keras.data.registry import is_mirror_symmetric
from attention_keras.data.rows import ImageRows
from attention_keras.data.split import ImageDataset, Split
from attention_keras.drawing.cells import compose
from attention_keras.drawing.charts import confusion_figure
from attention_keras.drawing.images import cells, prediction_title
from attention_keras.errors import UserError
from attention_keras.measures.maps import normalized_entropy
from attention_keras.models.classifier import Classifier, probabilities_of
from attention_keras.models.evidence import combine_evidence, evidence_model
from attention_keras.models.outputs import attention_maps, evidence_maps
from attention_keras.models.parts import count_macs, count_parameters
from attention_keras.progress import Bar
from attention_keras.runs.config import RunConfig
from attention_keras.runs.names import words_of
from attention_keras.training.callbacks import History
from attention_keras.training.frozen import FrozenPart
from attention_keras.training.losses import OFF_OBJECT, WORDS
from attention_keras.training.network import Stage

DAY, PANELS = 86400, 8
NVIDIA_DRIVER = Path("/proc/driver/nvidia")


def summarize(config: RunConfig, dataset: ImageDataset, model, strategy, frozen=None) -> list[str]:
    """To check before a run takes hours."""
    devices = tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("CPU")
    height, width, _ = dataset.image_shape
    size = f"any size, in tiles of {config.tiles}" if config.tiles else f"{width}x{height}"
    seconds = estimate_seconds(config, dataset, model, frozen)
    streamed = isinstance(dataset.train.images, ImageRows) and not config.tiles
    mirrors = "flip" in config.augment.split("+") and not is_mirror_symmetric(dataset.name)
    unseen = devices[0].device_type == "CPU" and NVIDIA_DRIVER.exists()
    warnings = {
        f"augment flips images, and a mirrored image of {dataset.name} is another one": mirrors,
        "this machine has an NVIDIA driver, but TensorFlow sees no GPU; "
        'pip install "tensorflow[and-cuda]" brings the libraries it needs': unseen,
        "this takes more than a day on this device; a GPU, a smaller width, fewer epochs or a limit shorten "
        "it, and an interrupted run resumes with the same command": seconds > DAY,
    }
    return [
        f"model     {config.model}, width {config.width:g}: {count_parameters(model):,} parameters, "
        f"{count_macs(model) / 1e6:,.0f} M multiply-adds per {'tile' if config.tiles else 'image'}",
        f"data      {dataset.name}: {len(dataset.train):,} training and {len(dataset.validation):,} "
        f"validation images of {size}, {dataset.num_classes} {WORDS[dataset.kind]}"
        f"{', decoded from their files in each epoch' if streamed else ''}",
        f"recipe    {config.recipe}: {', '.join(words_of(config))}",
        f"device    {len(devices)} x {devices[0].device_type}, {config.precision}, strategy "
        f"{type(strategy).__name__ if strategy else 'none'}",
        f"time      about {duration(seconds)} (estimate)",
        *(f"WARNING   {warning}" for warning, is_due in warnings.items() if is_due),
    ]


def estimate_seconds(config: RunConfig, dataset: ImageDataset, model, frozen: FrozenPart | None) -> float:
    """From a timed forward pass; a backward one costs two, and a frozen backbone sees the images once."""
    start, count, reading = time.perf_counter(), len(dataset.train), 0.0
    if config.tiles:
        sizes = (upright_size(Path(file), None) for file in dataset.train.images.files)
        step = max(1, config.tiles - 2 * config.margin)
        count = sum(-(-height // step) * -(-width // step) for height, width in sizes)
        images = tf.zeros((1, config.tiles, config.tiles, 3))
    else:
        images = tf.constant(dataset.train.images[: min(config.batch_size, 16 if frozen else 64)], "float32")
        reading = time.perf_counter() - start
    forward = frozen.compute if frozen else tf.function(partial(model, training=False), autograph=False)
    for _ in range(2):  # the first one compiles
        start = time.perf_counter()
        keras.ops.convert_to_numpy(keras.tree.flatten(forward(images))[0])
        forth = time.perf_counter() - start
    epochs, once = config.epochs, bool(config.frozen_epochs)
    return ((3 * epochs + once) * forth + (epochs + once) * reading) / len(images) * count


class Progress(keras.callbacks.Callback):
    """A bar over all images of the run, on a terminal, and a line about each finished epoch."""

    def __init__(self, history: History, stages: Sequence[Stage], say: Callable[[str], None], has_bar: bool):
        super().__init__()
        self.history, self.stages, self.say, self.epochs = history, stages, say, stages[-1].last
        images = {"total": self.epochs * history.images_per_epoch, "initial": history.images_seen}
        how = {"unit": " images", "unit_scale": True, "dynamic_ncols": True, "delay": 0}
        self.bar = Bar(**images, **how, disable=not has_bar)

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update(self.history.images_seen - self.bar.n)
        if logs and not self.bar.disable and self.history.step % 10 == 0:
            said = f"loss {logs['loss']:.3f} {self.history.measure} {self._measured(logs)}"
            self.bar.set_postfix_str(said, refresh=False)

    def on_epoch_end(self, epoch, logs=None):
        record = self.history.records[-1]
        speed = record["images_per_second"]
        # Of a later stage the speed is not known: with all weights an epoch may take a hundred times as long.
        stage = next(stage for stage in self.stages if epoch < stage.last)
        left = duration((stage.last - epoch - 1) * self.history.images_per_epoch / speed)
        of_what = "" if stage is self.stages[-1] else " of the frozen epochs"
        self.bar.clear()
        self.say(
            f"epoch {epoch + 1:>3}/{self.epochs}  loss {record['loss']:.4f}  "
            f"{self.history.measure} {self._measured(record)}  validation {self._measured(record, 'val_')}  "
            f"{speed:,.{0 if speed >= 10 else 1}f} images/s  {left} left{of_what}"
        )

    def _measured(self, record, prefix: str = "") -> str:
        name, value = self.history.measure, float(record[prefix + self.history.measure])
        return f"{value:.1%}" if name == "accuracy" else f"{value:.3f}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `12 min`, `3.5 h`, `2.1 days`."""
    for unit, size, limit in (("s", 1, 90), ("min", 60, 5400), ("h", 3600, 129600)):
        if seconds < limit:
            return f"{seconds / size:.{int(unit == 'h')}f} {unit}"
    return f"{seconds / DAY:.1f} days"


class Board(keras.callbacks.Callback):
    """TensorBoard: curves, and but for `skipped` epochs panels of images and their attention's entropy."""

    def __init__(
        self, log_dir: Path, history: History, model: Classifier, shown: Split | None, skipped: Container
    ):
        super().__init__()
        parts = {"": "train", "val_": "validation"}.items()
        self.writers = {prefix: tf.summary.create_file_writer(str(log_dir / part)) for prefix, part in parts}
        self.history, self.whole, self.skipped = history, model, skipped
        self.images, self.labels = map(np.asarray, (shown.images, shown.labels) if shown else ((), ()))
        try:
            # It shares the weights, so that it follows the training.
            self.explained = evidence_model(model, of="predicted")
        except UserError:  # a network without evidence
            self.explained = model

    def on_epoch_end(self, epoch, logs=None):
        record = self.history.records[-1]
        for prefix, writer in self.writers.items():
            with writer.as_default(step=epoch + 1):
                for name in ("loss", self.history.measure, OFF_OBJECT):
                    if prefix + name in record:
                        tf.summary.scalar(f"epoch/{name}", record[prefix + name])
                for name in () if prefix else ("learning_rate", "images_per_second"):
                    tf.summary.scalar(f"run/{name}", record[name])
                if prefix and len(self.images) and epoch + 1 not in self.skipped:
                    self._draw()
            writer.flush()

    def _draw(self) -> None:
        outputs = self.explained(self.images.astype("float32"), training=False)
        evidence = combine_evidence(evidence_maps(outputs), self.images.shape[1:3])
        outputs = {name: keras.ops.convert_to_numpy(value) for name, value in outputs.items()}
        maps, names = attention_maps(outputs), self.whole.class_names
        probabilities = keras.ops.convert_to_numpy(probabilities_of(self.whole)(outputs["logits"]))
        for name, level in maps.items():
            tf.summary.scalar(f"attention_entropy/{name}", normalized_entropy(level).mean())
        for index, image in enumerate(self.images if maps or evidence is not None else ()):
            chances, label = probabilities[index], self.labels[index]
            title, correct = prediction_title(chances, names, label, self.whole.activation)
            levels, signed = {name: level[index] for name, level in maps.items()}, {}
            if evidence is not None:
                signed[f"for {names[chances.argmax()]}"] = keras.ops.convert_to_numpy(evidence[index])
            picture = compose([cells(image, levels, signed)], title, correct)
            tf.summary.image(f"attention/{index:02d}", picture[None])


def log_confusion(log_dir: Path, labels, predicted, class_names, step: int) -> None:
    """The confusion matrix of the test images as a picture in TensorBoard."""
    counts = confusion_matrix(labels, predicted, labels=range(len(class_names)))
    writer = tf.summary.create_file_writer(str(log_dir / "test"))
    with writer.as_default():
        tf.summary.image("confusion", confusion_figure(counts, class_names)[None], step=step)
    writer.close()
