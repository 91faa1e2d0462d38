"""Fine-tuning: a frozen stage on features, then all weights; early stopping, more epochs."""

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
from attention_keras.training import frozen


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
