"""What a run shows in TensorBoard: curves, attention and evidence on the same images, confusion matrix."""

from collections.abc import Container, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from sklearn.metrics import confusion_matrix

from attention_keras.data.split import Split
from attention_keras.drawing.cells import compose
from attention_keras.drawing.charts import confusion_figure
from attention_keras.drawing.images import cells, prediction_title
from attention_keras.errors import UserError
from attention_keras.measures.maps import normalized_entropy
from attention_keras.models.classifier import Classifier, probabilities_of
from attention_keras.models.evidence import combine_evidence, evidence_model
from attention_keras.models.outputs import attention_maps, evidence_maps
from attention_keras.training.callbacks import History
from attention_keras.training.losses import OFF_OBJECT

PANELS = 8


class Scalars(keras.callbacks.Callback):
    """Curves of training and validation in one chart each; learning rate and speed."""

    def __init__(self, log_dir: Path, history: History):
        super().__init__()
        parts = {"": "train", "val_": "validation"}
        self.writers = {
            prefix: tf.summary.create_file_writer(str(log_dir / part)) for prefix, part in parts.items()
        }
        self.history = history

    def on_epoch_end(self, epoch, logs=None):
        record = self.history.records[-1]
        for prefix, writer in self.writers.items():
            with writer.as_default(step=epoch + 1):
                for name in ("loss", self.history.measure, OFF_OBJECT):
                    if prefix + name in record:
                        tf.summary.scalar(f"epoch/{name}", record[prefix + name])
                for name in () if prefix else ("learning_rate", "images_per_second"):
                    tf.summary.scalar(f"run/{name}", record[name])
            writer.flush()


class AttentionImages(keras.callbacks.Callback):
    """Panels of the first images of the split `shown`, after each epoch, counted from 1, but for `skipped`.

    Each shows attention of every level and the evidence for the predicted class, all levels added up. And for
    each level the entropy of its attention as a share of the largest (1: looks everywhere, 0: at one place).
    """

    def __init__(
        self,
        model: Classifier,
        shown: Split,
        class_names: Sequence[str],
        skipped: Container[int],
        log_dir: Path,
    ):
        super().__init__()
        try:
            # It shares the weights, so that it follows the training.
            self.explained = evidence_model(model, of="predicted")
        except UserError:  # a network without evidence
            self.explained = model
        self.activation, self.probabilities = model.activation, probabilities_of(model)
        first = shown.take(slice(0, PANELS))
        self.images, self.labels = np.asarray(first.images), np.asarray(first.labels)
        self.skipped, self.class_names = skipped, class_names
        self.writer = tf.summary.create_file_writer(str(log_dir / "validation"))

    def on_epoch_end(self, epoch, logs=None):
        if len(self.images) == 0 or epoch + 1 in self.skipped:
            return
        outputs = self.explained(self.images.astype("float32"), training=False)
        evidence = combine_evidence(evidence_maps(outputs), self.images.shape[1:3])
        outputs = {name: keras.ops.convert_to_numpy(value) for name, value in outputs.items()}
        maps = attention_maps(outputs)
        probabilities = keras.ops.convert_to_numpy(self.probabilities(outputs["logits"]))
        with self.writer.as_default(step=epoch + 1):
            for name, level in maps.items():
                tf.summary.scalar(f"attention_entropy/{name}", normalized_entropy(level).mean())
            for index, image in enumerate(self.images if maps or evidence is not None else ()):
                names, chances = self.class_names, probabilities[index]
                title, correct = prediction_title(chances, names, self.labels[index], self.activation)
                levels, signed = {name: level[index] for name, level in maps.items()}, {}
                if evidence is not None:
                    signed[f"for {names[chances.argmax()]}"] = keras.ops.convert_to_numpy(evidence[index])
                picture = compose([cells(image, levels, signed)], title, correct)
                tf.summary.image(f"attention/{index:02d}", picture[None])
        self.writer.flush()


def log_confusion(log_dir: Path, labels, predicted, class_names, step: int) -> None:
    """The confusion matrix of the test images as a picture in TensorBoard."""
    counts = confusion_matrix(labels, predicted, labels=range(len(class_names)))
    writer = tf.summary.create_file_writer(str(log_dir / "test"))
    with writer.as_default():
        tf.summary.image("confusion", confusion_figure(counts, class_names)[None], step=step)
    writer.close()
