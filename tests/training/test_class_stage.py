"""A pretrained backbone by default: the class head is fitted to its features in one pass."""

import keras
import numpy as np
import pytest
from small_runs import STEPS, trained

from attention_keras.data.datasets import load_dataset
from attention_keras.training import class_fit
from attention_keras.training.class_fit import assign_folds


@pytest.fixture
def config(fitted_run):
    return fitted_run.result.config


def test_one_epoch_in_which_the_head_alone_changes(config, fitted_run):
    model, (record,) = fitted_run.model(), fitted_run.history()
    before = keras.models.load_model(config.backbone.removeprefix("file:"))
    for old, new in zip(before.get_layer("late").get_weights(), model.get_layer("late").get_weights()):
        np.testing.assert_array_equal(old, new)
    assert record["step"] == STEPS and fitted_run.metrics["epochs"] == 1
    assert (model.get_layer("level_weights").weight.numpy() > 0).all()
    assert np.abs(model.get_layer("scores_late").kernel.numpy()).max() > 0
    dataset = load_dataset("cluttered_digits", limit=75)
    predicted = model.predict(dataset.validation.images, verbose=0)["logits"].argmax(1)
    right = np.mean(predicted == dataset.validation.labels)
    assert record["val_accuracy"] == pytest.approx(right, abs=0.1)
    backbone = keras.Model(model.input, model.get_layer("local_late").input)
    features = backbone.predict(np.asarray(dataset.train.images, "float32"), verbose=0)
    mean, _, count = (weight.numpy() for weight in model.get_layer("local_late").weights)
    assert count == 75
    np.testing.assert_allclose(mean, features.mean((0, 1, 2)), atol=0.01)  # of features in bfloat16


def test_epochs_go_on_with_all_weights_and_are_weighed_by_the_validation_images(config, fitted_run, tmp_path):
    run = trained(config, tmp_path, epochs=2)
    model = run.model()
    assert [record["step"] for record in run.history()] == [STEPS, 2 * STEPS, 3 * STEPS]
    kernels = [each.get_layer("late").kernel.numpy() for each in (model, fitted_run.model())]
    assert np.abs(kernels[0] - kernels[1]).max() > 0
    weights = model.get_layer("level_weights").weight.numpy()
    validation = load_dataset("cluttered_digits", limit=75).validation
    found = model.weigh(np.asarray(validation.images, "float32"), validation.labels)
    np.testing.assert_allclose(weights, found, rtol=0.02)


def test_images_of_a_group_are_in_one_fold(config, photos, tmp_path, monkeypatch):
    """In groups of two; a fold that has not seen an image has not seen its like."""
    table = tmp_path / "photos.csv"
    rows = [f"{photos / 'ab'[n % 2] / f'{n}.png'},{'ab'[n % 2]},object {n // 4}{n % 2}\n" for n in range(60)]
    table.write_text("path,label,group\n" + "".join(rows))
    found = []
    monkeypatch.setattr(
        class_fit, "assign_folds", lambda *of: found.append((of, assign_folds(*of))) or found[-1][1]
    )
    trained(config.replace(dataset=f"table:{table}", limit=0, image_size=32), tmp_path)
    [((labels, groups, _), folds)] = found
    assert len(labels) > len(set(groups)) == len({*zip(groups.tolist(), folds.tolist())})
