"""The average of the weights: what it is, that it is what a run validates and leaves, and that it resumes."""

import keras
import numpy as np
import pytest
from small_runs import DECAY, FULL, assert_ends_as, death_at, trained

from attention_keras.data.datasets import load_dataset
from attention_keras.training.checkpoint import load_newest
from attention_keras.training.optimizers import build_optimizer


def by_definition(weights, decay):
    """In float64: the first weights, and then `decay` of the average and the rest of the new ones."""
    average = weights[0].astype("float64")
    for newer in weights[1:]:
        average = decay * average + (1 - decay) * newer
    return average


def test_the_average_is_its_definition_and_parts_of_an_update_count_as_one():
    for accumulate in (1, 3):
        optimizer = build_optimizer("sgd", 0.1, 0.0, accumulate, DECAY)
        variable, seen = keras.Variable([0.0, 1.0]), []
        optimizer.build([variable])
        for step in range(12):
            optimizer.apply([keras.ops.array([float(step), -1.0])])
            seen.append(keras.ops.convert_to_numpy(variable))
        optimizer.finalize_variable_values([variable])
        expected = by_definition(seen[accumulate - 1 :], DECAY ** (1 / accumulate))
        np.testing.assert_allclose(variable, expected, atol=1e-5)


def error(model, split):
    return np.mean(model.predict(split.images[:], verbose=0)["logits"].argmax(-1) != split.labels)


def test_a_run_validates_tests_and_saves_the_average(full_run):
    model = full_run.model()
    for found, steps in zip(model.trainable_variables, zip(*full_run.steps), strict=True):
        np.testing.assert_allclose(found, by_definition(steps, DECAY), atol=1e-6)
    dataset = load_dataset("cluttered_digits", limit=75)
    validation, history = dataset.validation, full_run.history()
    assert full_run.metrics["validation_error"] == pytest.approx(error(model, validation), abs=1e-6)
    assert full_run.metrics["test_error"] == pytest.approx(error(model, dataset.test()), abs=1e-6)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    logits = model.predict(validation.images[:], verbose=0)["logits"]
    assert float(loss(validation.labels, logits)) == pytest.approx(history[-1]["val_loss"], abs=1e-5)
    best = max(history, key=lambda line: line["val_accuracy"])
    assert error(full_run.model("best.keras"), validation) == pytest.approx(1 - best["val_accuracy"])


def test_resume_is_exact_and_time_adds_up(full_run, tmp_path):
    with death_at(8):
        trained(FULL, tmp_path)
    died = load_newest(tmp_path / "run" / "checkpoints")
    run = trained(FULL, tmp_path)
    assert died.step == 6 and run.metrics["seconds"] > died.record["seconds"] > 0
    assert_ends_as(run, full_run)
    found, arrays = (load_newest(it.path / "checkpoints").arrays for it in (run, full_run))
    assert found.keys() == arrays.keys() and any(name.endswith("average") for name in found)
    for name, array in arrays.items():
        np.testing.assert_allclose(found[name], array, atol=1e-6, err_msg=name)
