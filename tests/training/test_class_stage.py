"""A pretrained backbone by default: the class head is fitted to its features in one pass."""

import keras
import numpy as np
import pytest
from keras import layers
from small_runs import SMALL, STEPS, assert_ends_as, death_at, death_before_the_test, trained

from attention_keras.data.datasets import load_dataset
from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    keras.utils.set_random_seed(5)
    images = keras.Input((24, 24, 3))  # smaller than the images: it is rebuilt for theirs
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = layers.Conv2D(8, 3, 4, padding="same", activation="swish", name="late")(x)
    path = tmp_path_factory.mktemp("backbone") / "small.keras"
    keras.Model(images, x, name="small").save(path)
    return RunConfig(**SMALL, backbone=str(path))


@pytest.fixture(scope="module")
def fitted(config, tmp_path_factory):
    return trained(config, tmp_path_factory.mktemp("fitted"))


def test_one_epoch_in_which_the_head_alone_changes(config, fitted):
    model, (record,) = fitted.model(), fitted.history()
    before = keras.models.load_model(config.backbone.removeprefix("file:"))
    for old, new in zip(before.get_layer("late").get_weights(), model.get_layer("late").get_weights()):
        np.testing.assert_array_equal(old, new)
    assert record["step"] == STEPS and fitted.metrics["epochs"] == 1
    assert (model.get_layer("level_weights").weight.numpy() > 0).all()
    assert np.abs(model.get_layer("scores_late").kernel.numpy()).max() > 0
    validation = load_dataset("cluttered_digits", limit=75).validation
    predicted = model.predict(validation.images, verbose=0)["logits"].argmax(1)
    assert record["val_accuracy"] == pytest.approx(np.mean(predicted == validation.labels), abs=0.1)
    average = np.stack([m.mean((0, 1)) for m in features(model, load_dataset("cluttered_digits", limit=75))])
    mean, _, count = (weight.numpy() for weight in model.get_layer("local_late").weights)
    assert count == 75
    np.testing.assert_allclose(mean, average.mean(0), atol=0.01)  # of features in bfloat16


def features(model, dataset):
    backbone = keras.Model(model.input, model.get_layer("local_late").input)
    return backbone.predict(np.asarray(dataset.train.images, "float32"), verbose=0)


@pytest.mark.slow
def test_a_run_that_died_ends_the_same(config, fitted, tmp_path):
    for number, death in enumerate((death_at(STEPS), death_before_the_test())):
        with death:
            trained(config, tmp_path / str(number))
        assert_ends_as(trained(config, tmp_path / str(number)), fitted)


def test_epochs_go_on_with_all_weights_and_are_weighed_by_the_validation_images(config, fitted, tmp_path):
    run = trained(config, tmp_path, epochs=2)
    model = run.model()
    assert [record["step"] for record in run.history()] == [STEPS, 2 * STEPS, 3 * STEPS]
    kernels = [each.get_layer("late").kernel.numpy() for each in (model, fitted.model())]
    assert np.abs(kernels[0] - kernels[1]).max() > 0
    weights = model.get_layer("level_weights").weight.numpy()
    validation = load_dataset("cluttered_digits", limit=75).validation
    found = model.weigh(np.asarray(validation.images, "float32"), validation.labels)
    np.testing.assert_allclose(weights, found, rtol=0.02)
    with death_at(2 * STEPS + 3):
        trained(config, tmp_path / "other", epochs=2)
    assert_ends_as(trained(config, tmp_path / "other", epochs=2), run, tolerance=1e-5)


def test_a_fit_is_one_pass(config):
    with pytest.raises(UserError, match="fitted to a frozen backbone in one go"):
        config.replace(frozen_epochs=4)
