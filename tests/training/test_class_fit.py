"""The class head fitted on features: folds that see nothing of themselves, and Keras's own training."""

import keras
import numpy as np
import pytest

from attention_keras import attend
from attention_keras.layers.normalization import Standardize
from attention_keras.training import class_fit
from attention_keras.training.class_fit import (
    FOLDS,
    Statistics,
    assign_folds,
    averages,
    fit_attention,
    fit_class_head,
    fit_probe,
)
from attention_keras.training.frozen import assign

CLASSES, COUNT = 3, 90
ALIKE = np.ones((COUNT, 1))


@pytest.fixture(scope="module")
def data():
    """Features in which one place of each image tells its class."""
    random = np.random.default_rng(0)
    labels = np.arange(COUNT) % CLASSES
    maps = random.normal(1, 1, (COUNT, 3, 4, 6)).astype("float32")
    for image, label, place in zip(maps, labels, random.integers(0, 12, COUNT)):
        image[place // 4, place % 4, label] += 4
    return maps, labels


def class_head(shape):
    """On a backbone that gives its images as they are."""
    images = keras.Input(shape)
    return attend(
        keras.Model(images, keras.layers.Identity(name="top")(images)), ["top"], CLASSES, head="class"
    )


def test_a_map_is_standardised_as_the_layer_does_it(data):
    alike = np.full((5, 3, 4, 6), 2.5, "float32")  # no deviation to divide by
    for maps in (data[0], alike):
        layer = Standardize()
        layer.adapt(maps)
        mine = Statistics.of(averages(maps)).standardize(maps)
        np.testing.assert_allclose(mine, keras.ops.convert_to_numpy(layer(maps)), atol=1e-5)


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
    folds = assign_folds(labels, None, seed=0)
    statistics = Statistics.of(averages(maps))
    x = statistics.standardize(averages(maps))
    other = labels.copy()
    other[7] = (labels[7] + 1) % CLASSES
    found = [
        fit_attention(maps, np.eye(CLASSES)[y], "softmax", folds, statistics, 0, ALIKE)[1]
        for y in (labels, other)
    ]
    np.testing.assert_array_equal(found[0][7], found[1][7])
    assert np.abs(found[0] - found[1])[folds != folds[7]].max() > 1e-3
    probes = [fit_probe(x, y, CLASSES, folds) for y in (labels, other)]
    assert probes[0][1] == probes[1][1]  # the same C
    np.testing.assert_array_equal(probes[0][2][7], probes[1][2][7])


def test_class_attention_is_trained_as_keras_does(data, monkeypatch):
    """A few steps of the layers themselves, with Keras's Adam and its gradients."""
    monkeypatch.setattr(class_fit, "STEPS", 20)
    maps, labels = data
    statistics = Statistics.of(averages(maps))
    alone = np.full(COUNT, -1)
    fitted, _ = fit_attention(maps, np.eye(CLASSES)[labels], "softmax", alone, statistics, 3, ALIKE)
    model = class_head(maps.shape[1:])
    model.get_layer("local_top").trainable = False
    model.get_layer("local_top").set_statistics(statistics.mean, statistics.square, COUNT)
    attention = keras.Model(model.input, model.get_layer("pool_top").output[0])
    attention.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(class_fit.RATE, 20)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for rows in class_fit.batches_of(COUNT, 3):
        attention.train_on_batch(maps[rows], labels[rows])
    kernel, bias = (keras.ops.convert_to_numpy(w) for w in model.get_layer("scores_top").weights)
    assert np.abs(kernel).max() > 0.02
    np.testing.assert_allclose(fitted.kernel, kernel, atol=2e-4)
    np.testing.assert_allclose(fitted.bias, bias, atol=2e-4)


def test_the_model_computes_what_was_fitted_and_the_same_seed_fits_the_same(data):
    maps, labels = data
    fitted, again = (fit_class_head({"top": maps}, labels, CLASSES, seed=0) for _ in range(2))
    np.testing.assert_array_equal(fitted.logits({"top": maps}), again.logits({"top": maps}))
    model = class_head(maps.shape[1:])
    assign(model, fitted)
    outputs = model.predict(maps, verbose=0)
    np.testing.assert_allclose(outputs["logits"], fitted.logits({"top": maps}), atol=1e-3)
    accuracy = np.mean(outputs["logits"].argmax(1) == labels)
    assert accuracy > 0.9 and fitted.weights[1] > fitted.weights[0]  # one place tells, and the average less


def test_two_classes_a_class_without_images_and_one_image_a_class(data):
    maps, labels = data
    two = labels < 2
    probe, _, unseen = fit_probe(averages(maps)[two], labels[two], 4, assign_folds(labels[two], None, 0))
    assert (unseen.argmax(1) < 2).all() and (probe.kernel[:, 2:] == 0).all()
    once = fit_class_head({"top": maps[:3]}, labels[:3], CLASSES)
    np.testing.assert_array_equal(once.weights, [1.0, 0.1])
