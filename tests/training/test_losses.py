"""Losses: balanced cross-entropy and attention off the object by their definitions, and what they do."""

import keras
import numpy as np
import pytest
from PIL import Image
from small_runs import SMALL, trained, write_photograph

from attention_keras.models.classifier import Classifier, TrainingHooks
from attention_keras.models.outputs import ATTENTION, LOGITS
from attention_keras.runs.config import RunConfig
from attention_keras.training import losses
from attention_keras.training.losses import balanced_weights, loss_of, share_off_object

WEIGHT = 3.0
STEADY = RunConfig(**SMALL)


def test_balanced_loss_is_kerass_class_weight():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(6, 3)).astype("float32"), np.array([0, 0, 0, 1, 1, 2])
    weights = balanced_weights(labels, 3)
    np.testing.assert_allclose(weights, [6 / 9, 1, 2])
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    loss = loss_of(labels, 3, 0.0, balance=True)(np.eye(3, dtype="float32")[labels], logits)
    np.testing.assert_allclose(loss, -weights[labels] * log[np.arange(6), labels], rtol=1e-5)
    assert balanced_weights(np.array([0, 2]), 3).tolist() == [1.0, 0.0, 1.0]
    mixed = loss_of(np.array([0, 0, 0, 1]), 2, 0.0, balance=True)  # weights 2 / 3 and 2
    found = mixed(np.array([[0.5, 0.5]], "float32"), np.zeros((1, 2), "float32"))
    assert float(found[0]) == pytest.approx(4 / 3 * np.log(2), rel=1e-5)


def shares_by_pixels(attention, objects):
    """The definition where the map divides the image: each cell's attention spread evenly over its pixels."""
    height, width = (large // small for large, small in zip(objects.shape[1:], attention.shape[1:]))
    spread = attention.repeat(height, axis=1).repeat(width, axis=2).astype("float64")
    return (spread * (1 - objects)).sum((1, 2)) / spread.sum((1, 2))


def test_share_off_object_is_its_definition():
    rng = np.random.default_rng(0)
    attention, objects = rng.gamma(0.5, size=(6, 4, 2)).astype("float32"), rng.random((6, 12, 10)) < 0.3
    found = keras.ops.convert_to_numpy(share_off_object(attention, objects.astype("uint8")))
    np.testing.assert_allclose(found, shares_by_pixels(attention, objects), atol=1e-6)
    # A sigmoid's map does not add up to 1; a map of nothing is wholly off.
    np.testing.assert_allclose(share_off_object(2 * attention, objects), found, atol=1e-6)
    np.testing.assert_array_equal(share_off_object(0 * attention, objects), np.ones(6))
    # The upper half: of three rows of cells, one is whole and one half on it, which counts half.
    objects, attention = np.zeros((3, 6, 4), "uint8"), np.zeros((3, 3, 2), "float32")
    objects[:, :3], attention[range(3), range(3)] = 1, 0.5
    np.testing.assert_allclose(share_off_object(attention, objects), [0, 0.5, 1], atol=1e-6)


def test_the_term_is_of_the_told_images_and_the_parts_of_a_batch_add_up():
    inputs = keras.Input((4, 4, 3))
    logits = keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
    maps = {f"{ATTENTION}{tap}": inputs[..., tap] for tap in range(2)}
    model = Classifier(inputs, {LOGITS: logits, **maps})
    hooks = TrainingHooks([losses.guidance(WEIGHT)], [losses.MeanOffObject("off_object")])
    crossentropy = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile("sgd", crossentropy, metrics=["categorical_accuracy"], hooks=hooks)

    rng = np.random.default_rng(1)
    images = rng.random((6, 4, 4, 3)).astype("float32")
    objects = (rng.random((6, 4, 4)) < 0.5).astype("uint8")
    objects[[1, 4, 5]] = 0
    targets = {LOGITS: np.eye(2, dtype="float32")[[0, 1, 1, 0, 1, 0]], "objects": objects}
    off = np.mean([shares_by_pixels(images[..., tap], objects) for tap in range(2)], axis=0)
    off = (off * [1, 0, 1, 1, 0, 0]).sum()

    def loss(rows, training=True):
        y = {name: part[rows] for name, part in targets.items()}
        return float(model.compute_loss(images[rows], y, model(images[rows]), training=training))

    whole, plain = loss(slice(6)), loss(slice(6), training=False)
    assert whole - plain == pytest.approx(WEIGHT * off / 6, abs=1e-6)
    assert plain == pytest.approx(float(crossentropy(targets[LOGITS], model(images)[LOGITS])), abs=1e-6)
    assert 2 / 6 * loss(slice(2)) + 4 / 6 * loss(slice(2, 6)) == pytest.approx(whole, abs=1e-6)
    found = model.evaluate(images, targets, batch_size=4, verbose=0, return_dict=True)
    assert found["off_object"] == pytest.approx(off / 3, abs=1e-6)
    assert found["loss"] == pytest.approx(plain, abs=1e-6)


@pytest.mark.slow
def test_a_folder_whose_validation_images_have_no_masks(tmp_path):
    for number in range(32):
        folder = tmp_path / "data" / ("train", "val")[number % 2] / "ab"[number // 2 % 2]
        write_photograph(folder / f"{number}.png", number)
    flags = {"dataset": f"folder:{tmp_path / 'data'}", "limit": 0, "recipe": "embedded", "epochs": 1}
    flags |= {"attend_to": 1.0, "image_size": 32}
    (masks := tmp_path / "data" / "train" / "a" / "GroundTruth").mkdir()
    for file in masks.parent.glob("*.png"):
        Image.new("L", (40, 30), 255).save(masks / file.name)
    run = trained(STEADY, tmp_path, **flags)
    assert any(line.startswith("attention trained with the object of ") for line in run.lines)
    assert run.history()[0]["off_object"] == pytest.approx(0, abs=1e-6), "the object is everywhere"
    assert "val_off_object" not in run.history()[0] and "val_loss" in run.history()[0]
