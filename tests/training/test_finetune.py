"""Fine-tuning: a frozen stage on features, or a class head fitted to them, then all weights; patience."""

import functools

import keras
import numpy as np
import pytest
from small_runs import FINETUNED, FROZEN, STEPS, difference, trained

from attention_keras.data.array_store import ArrayStore
from attention_keras.training import class_fit, frozen
from attention_keras.training.class_fit import assign_folds


@pytest.fixture(scope="module")
def options(backbone):
    return FINETUNED.replace(backbone=str(backbone))


def moved(run, backbone):
    """Largest change of the weights of each layer of the backbone."""
    after, before, found = run.model(), keras.models.load_model(backbone), {}
    for name in ("early", "norm", "late"):
        pairs = zip(after.get_layer(name).get_weights(), before.get_layer(name).get_weights())
        found[name] = max(np.abs(a - b).max() for a, b in pairs)
    return found


@pytest.mark.slow
def test_the_frozen_stage_trains_the_head_alone_on_features_on_disk(
    options, tmp_path, backbone, dataset, monkeypatch
):
    monkeypatch.setattr(frozen, "ArrayStore", functools.partial(ArrayStore, memory_limit=0))
    run = trained(options, tmp_path, epochs=0, ema=0.0)
    assert not run.result.run.features.exists()
    assert set(moved(run, backbone).values()) == {0.0}
    assert [line["step"] for line in run.history()] == [STEPS, 2 * STEPS]
    # What the head saw as features is what the whole network computes, but for the bits of bfloat16.
    assert run.loss(dataset.validation) == pytest.approx(run.history()[-1]["val_loss"], abs=0.01)


def test_then_all_weights_but_those_of_batch_norm_learn(finetuned_run, backbone):
    changes = moved(finetuned_run, backbone)
    assert changes["norm"] == 0 and changes["early"] > 1e-5 and changes["late"] > 1e-5
    rates = [line["learning_rate"] for line in finetuned_run.history()]
    assert max(rates[:FROZEN]) > 1e-3 > 5e-5 >= max(rates[FROZEN:])
    assert finetuned_run.metrics["epochs"] == FROZEN + 2


@pytest.mark.slow
def test_the_best_epoch_is_tested_and_saved(options, tmp_path, dataset):
    # A rate that ruins what the frozen stage has learnt: the best epoch is one of its.
    run = trained(options, tmp_path, epochs=9, learning_rate=0.3, patience=2, ema=0.0)
    accuracies = [line["val_accuracy"] for line in run.history()]
    best = accuracies.index(max(accuracies))
    assert len(accuracies) == max(best + 1, FROZEN) + 2 < FROZEN + 9
    assert run.metrics["tested_epoch"] == best + 1
    assert run.metrics["validation_error"] == pytest.approx(1 - max(accuracies))
    assert run.metrics["test_error"] == pytest.approx(run.error(dataset.test()))


def test_a_class_head_is_fitted_in_one_epoch_in_which_it_alone_changes(fitted_run, backbone, dataset):
    model, (record,) = fitted_run.model(), fitted_run.history()
    assert set(moved(fitted_run, backbone).values()) == {0.0}
    assert record["step"] == STEPS and fitted_run.metrics["epochs"] == 1
    assert (model.get_layer("level_weights").weight.numpy() > 0).all()
    assert np.abs(model.get_layer("scores_late").kernel.numpy()).max() > 0
    assert 1 - record["val_accuracy"] == pytest.approx(fitted_run.error(dataset.validation), abs=0.1)
    features = keras.Model(model.input, model.get_layer("local_late").input)
    found = features.predict(np.asarray(dataset.train.images, "float32"), verbose=0)
    mean, _, count = (weight.numpy() for weight in model.get_layer("local_late").weights)
    assert count == 75
    np.testing.assert_allclose(mean, found.mean((0, 1, 2)), atol=0.01)  # of features in bfloat16


def test_epochs_go_on_with_all_weights_and_are_weighed_by_the_validation_images(
    fitted_run, dataset, tmp_path
):
    run = trained(fitted_run.result.config, tmp_path, epochs=2)
    model = run.model()
    assert [record["step"] for record in run.history()] == [STEPS, 2 * STEPS, 3 * STEPS]
    assert difference(run, fitted_run) > 0
    weights = model.get_layer("level_weights").weight.numpy()
    found = model.weigh(np.asarray(dataset.validation.images, "float32"), dataset.validation.labels)
    np.testing.assert_allclose(weights, found, rtol=0.02)


def test_images_of_a_group_are_in_one_fold(fitted_run, photos, tmp_path, monkeypatch):
    """In groups of two; a fold that has not seen an image has not seen its like."""
    rows = [f"{photos / 'ab'[n % 2] / f'{n}.png'},{'ab'[n % 2]},object {n // 4}{n % 2}\n" for n in range(60)]
    (tmp_path / "photos.csv").write_text("path,label,group\n" + "".join(rows))
    asked, config = [], fitted_run.result.config
    monkeypatch.setattr(class_fit, "assign_folds", lambda *of: asked.append(of) or assign_folds(*of))
    trained(config.replace(dataset=f"table:{tmp_path}/photos.csv", limit=0, image_size=32), tmp_path)
    [(labels, groups, seed)] = asked
    folds = assign_folds(labels, groups, seed)
    assert len(labels) > len(set(groups)) == len({*zip(groups.tolist(), folds.tolist())})
