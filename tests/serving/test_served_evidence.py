"""Evidence through a SavedModel: the Keras model's numbers, and they add up to the answer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_run import NAMES, scatter

from attention_keras import attend
from attention_keras.models.evidence import combine_evidence, evidence_model
from attention_keras.models.outputs import evidence_maps
from attention_keras.serving.card import read_card
from attention_keras.serving.export import export_model


def share(difference, of):
    """The largest difference as a share of the largest number."""
    return np.abs(difference).max() / np.abs(of).max()


def centred(logits):
    return logits - logits.mean(-1, keepdims=True)


def test_numbers_are_those_of_the_keras_model(model, served, images):
    """For every class; explain is explain_class for the class that is most likely."""
    wanted = evidence_model(model)(images.astype("float32"))
    wanted = {name: np.asarray(value) for name, value in wanted.items()}
    predicted = wanted["logits"].argmax(-1)
    for asked in [np.full(3, k) for k in range(3)] + [np.array([2, 0, 1]), predicted]:
        answers = served["explain_class"](images=images, classes=asked.astype("int32"))
        each = range(3), asked
        for tap, level in evidence_maps(wanted).items():
            of_class = np.moveaxis(level, -1, 1)[each]
            full = answers[f"evidence_{tap}"]
            assert share(full - np.asarray(combine_evidence({tap: of_class}, (32, 32))), full) < 1e-5
            # Enlarged, a map has the sum that it had.
            assert share(full.sum((1, 2)) - of_class.sum((1, 2)), of_class.sum((1, 2))) < 1e-5
        assert share(answers["evidence_rest"] - wanted["evidence_rest"][each], wanted["evidence_rest"]) < 1e-5
    explained = served["explain"](images=images)
    for name in answers:
        np.testing.assert_allclose(explained[name], answers[name], atol=1e-6)


def test_evidence_and_rest_add_up_to_the_logit(served, images, logits):
    explained = served["explain"](images=images)
    taps = explained["evidence_conv10"] + explained["evidence_conv13"]
    assert share(explained["evidence"] - taps, taps) < 1e-6
    total = explained["evidence"].astype("float64").sum((1, 2)) + explained["evidence_rest"]
    wanted = centred(logits)
    assert share(total - wanted.max(-1), wanted) < 1e-5
    none = served["explain_class"](images=images, classes=np.array([-1, 3, 9], "int32"))
    assert not any(value.any() for name, value in none.items() if name.startswith("evidence"))


@pytest.mark.slow
def test_a_model_that_takes_any_size(tmp_path):
    """Maps are as large as the images that are sent; files have no size to be brought to."""
    images = keras.Input((None, None, 3), name="images")
    x = keras.layers.Rescaling(1 / 255)(images)
    for index, channels in enumerate((6, 8)):
        x = keras.layers.Conv2D(channels, 3, 2, padding="same", activation="swish", name=f"map{index}")(x)
    model = scatter(attend(keras.Model(images, x), ["map0", "map1"], 3))
    [written] = export_model(model, tmp_path / "m", class_names=NAMES, card={})
    served = tf.saved_model.load(str(written.path)).signatures
    assert set(served) == {"serving_default", "classify", "explain", "explain_class", "describe"}
    for height, width in ((40, 56), (64, 32)):
        pixels = np.random.default_rng(2).integers(0, 256, (2, height, width, 3), dtype="uint8")
        wanted = centred(np.asarray(model(pixels.astype("float32"))["logits"]))
        explained = {name: value.numpy() for name, value in served["explain"](images=pixels).items()}
        shapes = {v.shape for n, v in explained.items() if n not in ("probabilities", "evidence_rest")}
        assert shapes == {(2, height, width)}
        total = explained["evidence"].sum((1, 2)) + explained["evidence_rest"]
        assert share(total - wanted.max(-1), wanted) < 1e-4
        assert served["explain"](images=pixels[:0])["evidence"].shape == (0, height, width)
    assert read_card(written.path)["input"]["shape"] == [None, None, 3]
