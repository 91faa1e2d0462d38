"""What TensorBoard shows: the numbers of the history, and attention on the same validation images."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax
from small_runs import EPOCHS, PANELS
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from attention_keras import combine_evidence, evidence_model
from attention_keras.data.datasets import load_dataset
from attention_keras.drawing.images import panel, prediction_title
from attention_keras.measures.maps import normalized_entropy
from attention_keras.models.outputs import attention_maps, evidence_maps


def events(run, part):
    found = EventAccumulator(str(run.path / "tensorboard" / part), size_guidance={"tensors": 0})
    return found.Reload()


def series(run, part, tag):
    """(step, value) of a scalar."""
    return [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events(run, part).Tensors(tag)]


def picture(event):
    """A picture of an image summary: its value is width, height, PNG."""
    return tf.io.decode_png(tf.make_ndarray(event.tensor_proto)[2]).numpy()


def test_curves_are_the_history(plain_run):
    history = plain_run.result.run.history()
    for part, tag, name in (
        ("train", "epoch/loss", "loss"),
        ("validation", "epoch/loss", "val_loss"),
        ("validation", "epoch/accuracy", "val_accuracy"),
        ("train", "run/learning_rate", "learning_rate"),
        ("train", "run/images_per_second", "images_per_second"),
    ):
        expected = [(record["epoch"], np.float32(record[name])) for record in history]
        assert series(plain_run, part, tag) == expected, tag
    assert [record["epoch"] for record in history] == [1, 2, 3]


def test_panels_show_the_same_validation_images_after_every_epoch(plain_run):
    validation = load_dataset("cluttered_digits", limit=75).validation
    model = keras.models.load_model(plain_run.path / "model.keras", compile=False)
    images = np.asarray(validation.images[:PANELS])
    outputs = evidence_model(model, of="predicted").predict(images.astype("float32"), verbose=0)
    evidence = combine_evidence(evidence_maps(outputs), images.shape[1:3])
    maps, names = attention_maps(outputs), plain_run.result.run.class_names()
    found = events(plain_run, "validation")
    for index in range(PANELS):
        shown = found.Tensors(f"attention/{index:02d}")
        assert [event.step for event in shown] == [1, 2, 3]
        logits = outputs["logits"][index]
        title, correct = prediction_title(softmax(logits), names, validation.labels[index])
        levels = {name: level[index] for name, level in maps.items()}
        signed = {f"for {names[logits.argmax()]}": np.asarray(evidence[index])}
        expected = panel(images[index], levels, title, correct=correct, evidence=signed)
        # The saved model is the one after the last epoch; rounding may move a colour by a step.
        difference = np.abs(picture(shown[-1]).astype(int) - expected)
        assert difference.max() <= 2, difference.max()
    assert f"attention/{PANELS:02d}" not in found.Tags()["tensors"]
    for tap, level in maps.items():
        step, entropy = series(plain_run, "validation", f"attention_entropy/{tap}")[-1]
        assert step == EPOCHS and entropy == pytest.approx(normalized_entropy(level).mean(), abs=1e-4)


def test_confusion_matrix_at_the_end(plain_run):
    (event,) = events(plain_run, "test").Tensors("confusion")
    assert event.step == EPOCHS and picture(event).shape[2] == 3 and picture(event).shape[0] > 300
