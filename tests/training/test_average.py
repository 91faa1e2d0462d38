"""The average of the weights: what it is, that it is what a run validates and leaves, and that it resumes."""

import keras
import numpy as np
import pytest
from deaths import death_at, death_before_the_test
from small_runs import SMALL_RUN, read_history

from attention_keras.data.datasets import load_dataset
from attention_keras.training.checkpoint import load_newest
from attention_keras.training.checkpointing import Checkpointing
from attention_keras.training.optimizers import build_optimizer
from attention_keras.training.train import train

DECAY = 0.8
pytestmark = pytest.mark.usefixtures("small_network")


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


def trained(folder, **changes):
    options = SMALL_RUN.replace(**{"ema": DECAY, "run_dir": str(folder), **changes})
    return train(options, report=lambda line: None)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, small_network):
    """A run, and the trained weights of the network after each of its steps."""
    weights, original = [], Checkpointing.on_train_batch_end

    def record(self, batch, logs=None):
        weights.append([keras.ops.convert_to_numpy(variable) for variable in self.model.trainable_variables])
        original(self, batch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpointing, "on_train_batch_end", record)
        return trained(tmp_path_factory.mktemp("runs")), weights


@pytest.fixture(scope="module")
def uninterrupted(recorded):
    return recorded[0]


def history(result):
    return read_history(result.run.path)


def loaded(path):
    return keras.models.load_model(path, compile=False)


def error(model, split):
    return np.mean(model.predict(split.images[:], verbose=0)["logits"].argmax(-1) != split.labels)


def test_a_run_validates_tests_and_saves_the_average(recorded):
    result, weights = recorded
    model = loaded(result.run.model)
    for found, steps in zip(model.trainable_variables, zip(*weights), strict=True):
        np.testing.assert_allclose(found, by_definition(steps, DECAY), atol=1e-6)
    dataset = load_dataset("cluttered_digits", limit=75)
    assert result.metrics["validation_error"] == pytest.approx(error(model, dataset.validation), abs=1e-6)
    assert result.metrics["test_error"] == pytest.approx(error(model, dataset.test()), abs=1e-6)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    logits = model.predict(dataset.validation.images[:], verbose=0)["logits"]
    seen = history(result)[-1]["val_loss"]
    assert float(loss(dataset.validation.labels, logits)) == pytest.approx(seen, abs=1e-5)
    best = max(history(result), key=lambda line: line["val_accuracy"])
    assert error(loaded(result.run.best_model), dataset.validation) == pytest.approx(1 - best["val_accuracy"])


def test_averaging_changes_nothing_about_the_training(recorded, tmp_path):
    model = loaded(trained(tmp_path, ema=0.0).run.model)
    for last, averaged in zip(model.trainable_variables, recorded[1][-1], strict=True):
        np.testing.assert_array_equal(last, averaged)


@pytest.mark.parametrize("step", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_resume_is_exact(step, tmp_path, uninterrupted):
    with death_at(step):
        trained(tmp_path)
    ends_as(uninterrupted, trained(tmp_path))


def test_a_run_that_died_between_training_and_test_ends_the_same(tmp_path, uninterrupted):
    with death_before_the_test():
        trained(tmp_path)
    ends_as(uninterrupted, trained(tmp_path))


def ends_as(whole, result):
    """The same history, test, and last checkpoint: weights, averages, optimiser."""
    assert result.metrics["test_error"] == whole.metrics["test_error"]
    for resumed, expected in zip(history(result), history(whole), strict=True):
        assert resumed == pytest.approx(expected, abs=1e-5)
    found, arrays = (load_newest(run.run.checkpoints).arrays for run in (result, whole))
    assert found.keys() == arrays.keys() and any(name.endswith("average") for name in found)
    for name, array in arrays.items():
        np.testing.assert_allclose(found[name], array, atol=1e-6, err_msg=name)
    for one, other in zip(loaded(result.run.model).weights, loaded(whole.run.model).weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_patience_ends_with_the_best_average(tmp_path):
    result = trained(tmp_path, epochs=12, patience=2, learning_rate=0.5, schedule="constant")
    accuracies = [line["val_accuracy"] for line in history(result)]
    best = accuracies.index(max(accuracies))
    assert len(accuracies) == best + 3 < 12
    validation = load_dataset("cluttered_digits", limit=75).validation
    assert error(loaded(result.run.model), validation) == pytest.approx(1 - max(accuracies), abs=1e-6)
