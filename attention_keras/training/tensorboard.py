"""What a run shows in TensorBoard, and the guard that stops one that has gone wrong."""

import math
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from scipy.special import softmax

from attention_keras.drawing.confusion import confusion_figure, confusion_matrix
from attention_keras.drawing.maps import normalized_entropy
from attention_keras.drawing.panel import panel, prediction_title
from attention_keras.errors import UserError
from attention_keras.models.outputs import attention_maps


class NonFiniteGuard(keras.callbacks.Callback):
    """Stops training at the first loss that is not finite; the last checkpoint is from before it.

    Args:
        start_step: optimiser steps done before this process.

    Raises:
        UserError: naming the step.
    """

    def __init__(self, start_step: int = 0):
        super().__init__()
        self.step = start_step

    def on_epoch_begin(self, epoch, logs=None):
        self._first_step = self.step

    def on_train_batch_end(self, batch, logs=None):
        self.step = self._first_step + batch + 1
        loss = float(np.squeeze(logs["loss"]))
        if not math.isfinite(loss):
            raise UserError(
                f"the loss is {loss} at step {self.step}; a lower --learning-rate usually helps (the last "
                "checkpoint is from before, --restart begins anew)"
            )


class Scalars(keras.callbacks.Callback):
    """Loss and accuracy of training and validation in one chart each; learning rate and speed.

    Args:
        log_dir: TensorBoard folder; runs `train` and `validation` go under it.
        history: records of finished epochs; the newest one is written.
    """

    def __init__(self, log_dir: Path, history: list[dict]):
        super().__init__()
        self.writers = {
            part: tf.summary.create_file_writer(str(log_dir / part)) for part in ("train", "validation")
        }
        self.history = history

    def on_epoch_end(self, epoch, logs=None):
        record = self.history[-1]
        for part, prefix in (("train", ""), ("validation", "val_")):
            with self.writers[part].as_default():
                for name in ("loss", "accuracy"):
                    tf.summary.scalar(f"epoch/{name}", record[prefix + name], step=epoch + 1)
        with self.writers["train"].as_default():
            for name in ("learning_rate", "images_per_second"):
                tf.summary.scalar(f"run/{name}", record[name], step=epoch + 1)
        for writer in self.writers.values():
            writer.flush()


class AttentionImages(keras.callbacks.Callback):
    """After each epoch: where every attention level looks on the same validation images.

    One panel per image, titled with the true and the predicted class; and for each level the entropy of
    its maps as a share of the largest possible (1: looks everywhere, 0: at one place).

    Args:
        model_with_maps: the model with its attention outputs (training uses a view without them).
        images: `(n, h, w, 3)` uint8, fixed for the run.
        labels: `(n,)`.
        class_names: k names.
        log_dir: TensorBoard folder.
    """

    def __init__(self, model_with_maps: keras.Model, images, labels, class_names, log_dir: Path):
        super().__init__()
        self.model_with_maps = model_with_maps
        self.images = np.asarray(images)
        self.labels = np.asarray(labels)
        self.class_names = class_names
        self.writer = tf.summary.create_file_writer(str(log_dir / "validation"))

    def on_epoch_end(self, epoch, logs=None):
        if len(self.images) == 0:
            return
        outputs = self.model_with_maps(self.images.astype("float32"), training=False)
        outputs = {name: keras.ops.convert_to_numpy(value) for name, value in outputs.items()}
        maps = attention_maps(outputs)
        probabilities = softmax(outputs["logits"], axis=-1)
        with self.writer.as_default():
            for name, level in maps.items():
                entropy = normalized_entropy(level).mean()
                tf.summary.scalar(f"attention_entropy/{name}", entropy, step=epoch + 1)
            for index, image in enumerate(self.images if maps else ()):
                title, correct = prediction_title(probabilities[index], self.class_names, self.labels[index])
                levels = {name: level[index] for name, level in maps.items()}
                picture = panel(image, levels, title, correct=correct)
                tf.summary.image(f"attention/{index:02d}", picture[None], step=epoch + 1)
        self.writer.flush()


def log_confusion(log_dir: Path, labels, predicted, class_names, step: int) -> None:
    """The confusion matrix of the test images as a picture in TensorBoard."""
    picture = confusion_figure(confusion_matrix(labels, predicted, len(class_names)), class_names)
    writer = tf.summary.create_file_writer(str(log_dir / "test"))
    with writer.as_default():
        tf.summary.image("confusion", picture[None], step=step)
    writer.close()
