"""What a person sees in TensorBoard: the numbers of a run, and attention on the same images."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax
from small_runs import EPOCHS, PANELS
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from attention_keras import combine_evidence, evidence_model
from attention_keras.drawing.cells import compose
from attention_keras.drawing.images import cells, prediction_title
from attention_keras.measures.maps import normalized_entropy
from attention_keras.models.outputs import attention_maps, evidence_maps


def events(run, part, tag):
    """(step, value) of each, of an image its width, height and PNG."""
    found = EventAccumulator(str(run.path / "tensorboard" / part), size_guidance={"tensors": 0}).Reload()
    return [(event.step, tf.make_ndarray(event.tensor_proto)) for event in found.Tensors(tag)]


def test_curves_are_the_history_and_the_confusion_matrix_comes_at_the_end(plain_run):
    history = plain_run.records()
    for part, tag, name in (
        ("train", "epoch/loss", "loss"),
        ("validation", "epoch/loss", "val_loss"),
        ("validation", "epoch/accuracy", "val_accuracy"),
        ("train", "run/learning_rate", "learning_rate"),
        ("train", "run/images_per_second", "images_per_second"),
    ):
        expected = [(record["epoch"], np.float32(record[name])) for record in history]
        assert events(plain_run, part, tag) == expected, tag
    [(step, matrix)] = events(plain_run, "test", "confusion")
    assert step == EPOCHS and tf.io.decode_png(matrix[2]).shape[0] > 300


def test_panels_show_the_same_validation_images_after_every_epoch(plain_run, dataset):
    shown = dataset.validation.take(slice(0, PANELS + 1))
    outputs = evidence_model(plain_run.model(), of="predicted").predict(np.asarray(shown.images), verbose=0)
    evidence = keras.ops.convert_to_numpy(combine_evidence(evidence_maps(outputs), (32, 32)))
    maps, names = attention_maps(outputs), dataset.class_names
    for index, logits in enumerate(outputs["logits"][:PANELS]):
        steps, panels = zip(*events(plain_run, "validation", f"attention/{index:02d}"))
        title, correct = prediction_title(softmax(logits), names, shown.labels[index])
        levels = {name: level[index] for name, level in maps.items()}
        signed = {f"for {names[logits.argmax()]}": evidence[index]}
        expected = compose([cells(np.asarray(shown.images)[index], levels, signed)], title, correct)
        # The saved model is the one after the last epoch; rounding may move a colour by a step.
        difference = np.abs(tf.io.decode_png(panels[-1][2]).numpy().astype(int) - expected)
        assert steps == (1, 2, 3) and difference.max() <= 2, difference.max()
    for tap, level in maps.items():
        step, entropy = events(plain_run, "validation", f"attention_entropy/{tap}")[-1]
        expected = normalized_entropy(level[:PANELS]).mean()
        assert step == EPOCHS and entropy == pytest.approx(expected, abs=1e-4)
