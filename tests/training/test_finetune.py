"""Fine-tuning: a frozen stage on features, or a class head fitted to them, then all weights; patience."""

import functools

import keras
import numpy as np
import pytest
from keras import layers
from small_runs import FINETUNED, FROZEN, STEPS, difference, trained
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from attention_keras.data.array_store import ArrayStore
from attention_keras.data.datasets import load_dataset
from attention_keras.errors import UserError
from attention_keras.training import class_fit, frozen
from attention_keras.training.class_fit import assign_folds


@pytest.fixture(scope="module")
def options(backbone):
    return FINETUNED.replace(backbone=str(backbone))


def moved(model, backbone):
    """Largest change of the weights of each layer of the backbone."""
    before, found = keras.models.load_model(backbone), {}
    for name in ("early", "norm", "late"):
        pairs = zip(model.get_layer(name).get_weights(), before.get_layer(name).get_weights())
        found[name] = max(np.abs(a - b).max() for a, b in pairs)
    return found


@pytest.mark.slow
def test_the_frozen_stage_trains_the_head_alone_on_features_on_disk(options, tmp_path, backbone, monkeypatch):
    monkeypatch.setattr(frozen, "ArrayStore", functools.partial(ArrayStore, memory_limit=0))
    run = trained(options, tmp_path, epochs=0, ema=0.0)
    assert not run.result.run.features.exists()
    assert set(moved(run.model(), backbone).values()) == {0.0}
    assert [line["step"] for line in run.history()] == [STEPS, 2 * STEPS]
    # What the head saw as features is what the whole network computes, but for the bits of bfloat16.
    validation = load_dataset("cluttered_digits", limit=75).validation
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    seen = float(loss(validation.labels, run.model().predict(validation.images, verbose=0)["logits"]))
    assert seen == pytest.approx(run.history()[-1]["val_loss"], abs=0.01)


def test_then_all_weights_but_those_of_batch_norm_learn_and_what_a_person_sees(finetuned_run, backbone):
    """Panels once in the frozen stage, since drawing takes longer; the time left is of the known speed."""
    changes = moved(finetuned_run.model(), backbone)
    assert changes["norm"] == 0 and changes["early"] > 1e-5 and changes["late"] > 1e-5
    rates = [line["learning_rate"] for line in finetuned_run.history()]
    assert max(rates[:FROZEN]) > 1e-3 > 5e-5 >= max(rates[FROZEN:])
    assert finetuned_run.metrics["epochs"] == FROZEN + 2
    epochs = [line for line in finetuned_run.lines if line.startswith("epoch")]
    assert [line.endswith("left of the frozen epochs") for line in epochs] == [True, True, False, False]
    assert " 0 s left" in epochs[FROZEN - 1] and epochs[-1].endswith(" 0 s left")
    events = EventAccumulator(str(finetuned_run.path / "tensorboard" / "validation")).Reload()
    drawn = [event.step for event in events.Tensors("attention/00")]
    assert drawn == [FROZEN, FROZEN + 1, FROZEN + 2]


@pytest.mark.slow
def test_the_best_epoch_is_tested_and_saved(options, tmp_path):
    # A rate that ruins what the frozen stage has learnt: the best epoch is one of its.
    run = trained(options, tmp_path, epochs=9, learning_rate=0.3, patience=2, ema=0.0)
    accuracies = [line["val_accuracy"] for line in run.history()]
    best = accuracies.index(max(accuracies))
    assert len(accuracies) == max(best + 1, FROZEN) + 2 < FROZEN + 9
    assert run.metrics["tested_epoch"] == best + 1
    assert run.metrics["validation_error"] == pytest.approx(1 - max(accuracies))
    test = load_dataset("cluttered_digits", limit=75).test()
    predicted = run.model().predict(test.images, verbose=0)["logits"].argmax(-1)
    assert run.metrics["test_error"] == pytest.approx(np.mean(predicted != test.labels))


@pytest.mark.slow
def test_the_classifier_goes_along_where_the_classes_are_the_same(options, finetuned_run, tmp_path):
    more = {"init_from": str(finetuned_run.path), "frozen_epochs": 0, "epochs": 1, "learning_rate": 1e-9}
    before, after = finetuned_run.weights(), trained(options, tmp_path, **more).weights()
    counts = {name for name in after if name.endswith("updates")}  # of a batch norm, which go on
    assert max(np.abs(after[name] - before[name]).max() for name in after.keys() - counts) < 0.05
    labels = finetuned_run.path / "labels.txt"
    kept = labels.read_text()
    labels.write_text("\n".join("abcdefghij"))
    other = trained(options, tmp_path, name="other", seed=1, **more)
    labels.write_text(kept)
    assert difference(other, finetuned_run) > 0.1


def test_wrong_backbone_files(options, tmp_path):
    flat = keras.Sequential([keras.Input((16, 16, 3)), layers.Flatten(), layers.Dense(4)], name="flat")
    flat.save(tmp_path / "flat.keras")
    raw = keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(4, 3, name="conv")])
    raw.save(tmp_path / "raw.keras")
    for name, said in (
        ("nothing.keras", r"cannot load .*nothing\.keras: it is missing"),
        ("flat.keras", "flat cannot take images of 32x32: only a convolutional network"),
        ("raw.keras", "does not begin with a layer that normalises pixels"),
    ):
        with pytest.raises(UserError, match=said):
            trained(options, tmp_path, model=None, head="linear", backbone=str(tmp_path / name))
    assert not (tmp_path / "run").exists()  # nothing half-written


@pytest.fixture
def config(fitted_run):
    return fitted_run.result.config


def test_a_class_head_is_fitted_in_one_epoch_in_which_it_alone_changes(config, fitted_run):
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
