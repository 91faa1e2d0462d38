"""The class head fitted on features: folds that see nothing of themselves, and Keras's own training."""

import keras
import numpy as np
import pytest

from attention_keras import attend
from attention_keras.training import class_fit
from attention_keras.training.class_fit import (
    Statistics,
    assign_folds,
    averages,
    fit_attention,
    fit_class_head,
)
from attention_keras.training.frozen import assign
from attention_keras.training.probe_fit import FOLDS, fit_probe

CLASSES, COUNT = 3, 90
ALIKE = np.ones((COUNT, 1))


@pytest.fixture(scope="module")
def data():
    """Features in which one place of each image tells its class."""
    random = np.random.default_rng(0)
    labels = np.arange(COUNT) % CLASSES
    maps = random.normal(1, 1, (COUNT, 3, 4, 6)).astype("float32")
    maps.reshape(COUNT, 12, 6)[np.arange(COUNT), random.integers(0, 12, COUNT), labels] += 4
    return maps, labels


@pytest.fixture
def head():
    """A class head on a backbone that gives its images as they are."""
    images = keras.Input((3, 4, 6))
    same = keras.Model(images, keras.layers.Identity(name="top")(images))
    return attend(same, ["top"], CLASSES, head="class")


def test_folds_spread_classes_and_keep_groups_together():
    labels = np.repeat([0, 1, 2], [20, 10, 1])
    folds = assign_folds(labels, None, seed=0)
    assert folds[30] == -1  # the only one of its class is never held out
    for label, each in ((0, 4), (1, 2)):
        assert np.bincount(folds[labels == label], minlength=FOLDS).tolist() == [each] * FOLDS
    groups = np.arange(31) // 2
    folds = assign_folds(np.repeat([0, 1, 1], [20, 10, 1]), groups, seed=1)
    assert all(len(set(folds[groups == group])) == 1 for group in groups)
    assert (folds >= 0).all()


def test_the_logits_of_an_image_know_nothing_of_its_label(data):
    maps, labels = data
    folds, statistics = assign_folds(labels, None, seed=0), Statistics.of(averages(maps))
    x, other = statistics.standardize(averages(maps)), labels.copy()
    other[7] = (labels[7] + 1) % CLASSES
    attention, probes = [], []
    for y in (labels, other):
        how = (np.eye(CLASSES)[y], "softmax", folds, statistics, 0, ALIKE)
        attention.append(fit_attention(maps, *how)[1])
        probes.append(fit_probe(x, y, CLASSES, folds))
    np.testing.assert_array_equal(attention[0][7], attention[1][7])
    assert np.abs(attention[0] - attention[1])[folds != folds[7]].max() > 1e-3
    assert probes[0][1] == probes[1][1]  # the same C
    np.testing.assert_array_equal(probes[0][2][7], probes[1][2][7])


def test_class_attention_is_trained_as_keras_does(data, head, monkeypatch):
    """A few steps of the layers themselves, with Keras's Adam and its gradients."""
    monkeypatch.setattr(class_fit, "STEPS", 20)
    maps, labels = data
    statistics, alone = Statistics.of(averages(maps)), np.full(COUNT, -1)
    fitted, _ = fit_attention(maps, np.eye(CLASSES)[labels], "softmax", alone, statistics, 3, ALIKE)
    head.get_layer("local_top").trainable = False
    head.get_layer("local_top").set_statistics(statistics.mean, statistics.square, COUNT)
    attention = keras.Model(head.input, head.get_layer("pool_top").output[0])
    attention.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(class_fit.RATE, 20)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for rows in class_fit.batches_of(COUNT, 3):
        attention.train_on_batch(maps[rows], labels[rows])
    kernel, bias = head.get_layer("scores_top").get_weights()
    assert np.abs(kernel).max() > 0.02
    np.testing.assert_allclose(fitted.kernel, kernel, atol=2e-4)
    np.testing.assert_allclose(fitted.bias, bias, atol=2e-4)


def test_the_model_computes_what_was_fitted_and_the_same_seed_fits_the_same(data, head):
    maps, labels = data
    fitted, again = (fit_class_head({"top": maps}, labels, CLASSES, seed=0) for _ in range(2))
    np.testing.assert_array_equal(fitted.logits({"top": maps}), again.logits({"top": maps}))
    assign(head, fitted)
    logits = head.predict(maps, verbose=0)["logits"]
    np.testing.assert_allclose(logits, fitted.logits({"top": maps}), atol=1e-3)
    assert np.mean(logits.argmax(1) == labels) > 0.9
    assert fitted.weights[1] > fitted.weights[0]  # one place tells, and the average less


def test_a_class_without_images_is_never_answered(data):
    maps, labels = data
    two = labels < 2
    probe, _, unseen = fit_probe(averages(maps)[two], labels[two], 4, assign_folds(labels[two], None, 0))
    assert (unseen.argmax(1) < 2).all() and (probe.kernel[:, 2:] == 0).all()
