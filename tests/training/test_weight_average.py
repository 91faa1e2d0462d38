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
from attention_keras.training.weight_average import AveragedClassifier, newest_share

DECAY = 0.8
OPTIONS = SMALL_RUN.replace(ema=DECAY)
pytestmark = pytest.mark.usefixtures("small_network")


@pytest.mark.parametrize("decay", [0.5, 0.999, 0.99999])
def test_the_share_of_the_newest_is_exact_from_the_first_update_on(decay):
    for updates in (1, 2, 10, 1000, 100_000):
        exact = (1 - decay) / (1 - decay**updates)
        assert float(newest_share(decay, updates)) == pytest.approx(exact, rel=1e-6)


class Weights(keras.callbacks.Callback):
    """All weights after each step."""

    def __init__(self):
        super().__init__()
        self.after = []

    def on_train_batch_end(self, batch, logs=None):
        self.after.append(self.model.get_weights())


def small_classifier():
    """With batch normalisation and dropout."""
    images = keras.Input((4, 4, 3))
    x = keras.layers.BatchNormalization(momentum=0.5)(keras.layers.Conv2D(5, 3)(images))
    x = keras.layers.Dropout(0.2, seed=1)(keras.layers.Flatten()(x))
    return AveragedClassifier(images, {"logits": keras.layers.Dense(2)(x)})


def fitted(steps=12, accumulate=1, at_once=1, policy="float32", decay=DECAY, first_scale=None):
    """A model after some steps of `fit`, and the weights after each of them."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    model, seen = small_classifier(), Weights()
    optimizer = build_optimizer("nesterov", 0.1, 1e-3, accumulate)
    if first_scale:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=first_scale)
    model.compile(
        optimizer, keras.losses.CategoricalCrossentropy(from_logits=True), steps_per_execution=at_once
    )
    if decay:
        model.average_weights(decay)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(4 * steps, 4, 4, 3)).astype("float32")
    labels = np.eye(2, dtype="float32")[rng.integers(0, 2, 4 * steps)]
    model.fit(images, labels, 4, shuffle=False, verbose=0, callbacks=[seen])
    return model, seen.after


def exact_average(weights):
    """In float64: the weights of k updates ago count DECAY ** k."""
    counts = DECAY ** np.arange(len(weights))[::-1]
    return [
        np.tensordot(counts / counts.sum(), np.stack(values).astype("float64"), 1) for values in zip(*weights)
    ]


def assert_averages(model, expected):
    """A swap puts the average into the model, and the next one takes it out again, to the bit."""
    trained = model.get_weights()
    model.average.swap()
    for found, exact in zip(model.get_weights(), expected, strict=True):
        if found.dtype == "float32":  # the state of dropout is not averaged
            np.testing.assert_allclose(found, exact, atol=1e-6)
    model.average.swap()
    for found, before in zip(model.get_weights(), trained, strict=True):
        np.testing.assert_array_equal(found, before)


def test_the_average_is_that_of_all_updates():
    model, weights = fitted()
    assert len(model.average.averages) == 8  # kernels and biases of two layers, four of batch norm
    assert_averages(model, exact_average(weights))
    assert max(np.abs(a - b).max() for a, b in zip(exact_average(weights), weights[-1])) > 1e-2


def test_averaging_changes_nothing_about_the_training():
    for averaged, plain in zip(fitted()[1][-1], fitted(decay=0)[1][-1], strict=True):
        np.testing.assert_array_equal(averaged, plain)


def test_parts_of_an_update_count_once():
    model, weights = fitted(steps=14, accumulate=3)  # ends with two parts of a fifth update
    assert_averages(model, exact_average(weights[2::3]))


def test_several_steps_in_one_call_are_averaged_one_by_one():
    (model, _), (_, weights) = fitted(at_once=4), fitted()
    assert_averages(model, exact_average(weights))


def test_steps_that_loss_scaling_skips_do_not_count():
    model, weights = fitted(policy="mixed_float16", first_scale=2.0**18)
    updates = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    assert 0 < updates < 12, "some of the first steps overflow"
    assert_averages(model, exact_average(weights[-updates:]))


# In a run


def trained(folder, **changes):
    return train(OPTIONS.replace(run_dir=str(folder), **changes), report=lambda line: None)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, small_network):
    return trained(tmp_path_factory.mktemp("runs"))


def history(result):
    return read_history(result.run.path)


def loaded(path):
    return keras.models.load_model(path, compile=False)


def error(model, split):
    return np.mean(model.predict(split.images[:], verbose=0)["logits"].argmax(-1) != split.labels)


def test_a_run_validates_tests_and_saves_the_average(uninterrupted, tmp_path, monkeypatch):
    """Recorded at each step of a run like it."""
    weights = []
    original = Checkpointing.on_train_batch_end

    def record(self, batch, logs=None):
        weights.append(self.model.get_weights())
        original(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpointing, "on_train_batch_end", record)
        result = trained(tmp_path)
    model, expected = loaded(result.run.model), exact_average(weights)
    for found, exact in zip(model.get_weights(), expected, strict=True):
        if found.dtype == "float32":
            np.testing.assert_allclose(found, exact, atol=1e-6)
    dataset = load_dataset("cluttered_digits", limit=75)
    assert result.metrics["validation_error"] == pytest.approx(error(model, dataset.validation), abs=1e-6)
    assert result.metrics["test_error"] == pytest.approx(error(model, dataset.test()), abs=1e-6)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    logits = model.predict(dataset.validation.images[:], verbose=0)["logits"]
    seen = history(uninterrupted)[-1]["val_loss"]
    assert float(loss(dataset.validation.labels, logits)) == pytest.approx(seen, abs=1e-5)
    best = max(history(result), key=lambda line: line["val_accuracy"])
    assert error(loaded(result.run.best_model), dataset.validation) == pytest.approx(1 - best["val_accuracy"])


def test_a_run_without_it_trains_to_the_same_last_weights(uninterrupted, tmp_path):
    plain, averaged = trained(tmp_path, ema=0.0), load_newest(uninterrupted.run.checkpoints)
    left = {name: array for name, array in averaged.arrays.items() if name.startswith("average/")}
    last = load_newest(plain.run.checkpoints).arrays
    assert len(left) > 10 and not any(name.startswith("average/") for name in last)
    # The last checkpoint has the average in the network, and in its place what the network had learnt.
    for name, array in left.items():
        np.testing.assert_allclose(array, last[name.replace("average/", "model/")], atol=1e-6)


@pytest.mark.parametrize("step", [8, 15, *(pytest.param(step, marks=pytest.mark.slow) for step in (1, 5))])
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
    assert found.keys() == arrays.keys()
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
