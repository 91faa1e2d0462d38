"""Schedules at named epochs of the official scripts, Torch's coupled decay, the average of the weights."""

import keras
import numpy as np
import pytest
from small_runs import DECAY, FULL, assert_ends_as, death_at, trained

from attention_keras.training.checkpoint import load_newest
from attention_keras.training.optimizers import build_optimizer, build_schedule

STEPS = 10


def test_steps_of_the_official_scripts_come_at_the_epochs_that_they_name():
    halved = {epoch: 0.1 * 0.5 ** ((epoch + 1) // 25) for epoch in (0, 23, 24, 48, 49, 100, 299)}
    stepped = {0: 0.1, 59: 0.1, 60: 0.02, 119: 0.02, 120: 0.004, 160: 0.0008, 199: 0.0008}
    cub = {0: 0.01, 28: 0.01, 29: 0.02, 59: 0.04, 89: 0.02, 119: 0.01, 149: 0.005}  # twice, then halved
    for name, expected in (("halve_25", halved), ("step_60_120_160", stepped), ("cub_30", cub)):
        schedule = build_schedule(name, expected[0], STEPS, 320)
        for step in (0, STEPS - 1):
            rates = {epoch: float(schedule(epoch * STEPS + step)) for epoch in expected}
            assert rates == pytest.approx(expected), name


def test_cosine_warms_up_and_ends_at_zero_also_where_updates_go_on_over_the_end_of_an_epoch():
    schedule = build_schedule("cosine", 0.4, STEPS, 10)
    # A tenth of the 100 updates: eleven equal steps from 0 to the peak, of which 0 itself is not taken.
    warm_up = [float(schedule(step)) for step in range(11)]
    assert warm_up == pytest.approx([0.4 * (step + 1) / 11 for step in range(11)])
    assert float(schedule(100)) == pytest.approx(0, abs=1e-6)
    assert float(schedule(55)) == pytest.approx(0.2, rel=1e-3)
    cosine, halved = build_schedule("cosine", 0.4, 10.5, 4), build_schedule("halve_25", 0.1, 10.5, 30)
    assert float(cosine(42)) == pytest.approx(0, abs=1e-6) and float(cosine(41)) > 1e-4
    assert [round(float(halved(update)), 3) for update in (251, 252)] == [0.1, 0.05]


def test_coupled_decay_is_torchs():
    for name in ("sgd", "nesterov"):
        rng = np.random.default_rng(0)
        weights = rng.normal(size=5).astype("float32")
        variable, optimizer = keras.Variable(weights), build_optimizer(name, 0.1, 0.01)
        expected, velocity = weights.astype("float64"), np.zeros(5)
        for _ in range(4):
            gradient = rng.normal(size=5).astype("float32")
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
            coupled = gradient + 0.01 * expected
            velocity = 0.9 * velocity + coupled
            expected = expected - 0.1 * (coupled + 0.9 * velocity if name == "nesterov" else velocity)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable.value), expected, atol=1e-6)


def by_definition(weights, decay):
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


def test_a_run_validates_tests_and_saves_the_average(full_run, dataset):
    for found, steps in zip(full_run.model().trainable_variables, zip(*full_run.steps), strict=True):
        np.testing.assert_allclose(found, by_definition(steps, DECAY), atol=1e-6)
    history, metrics, validation = full_run.history(), full_run.metrics, dataset.validation
    assert metrics["validation_error"] == pytest.approx(full_run.error(validation), abs=1e-6)
    assert metrics["test_error"] == pytest.approx(full_run.error(dataset.test()), abs=1e-6)
    assert full_run.loss(validation) == pytest.approx(history[-1]["val_loss"], abs=1e-5)
    best = max(line["val_accuracy"] for line in history)
    assert full_run.error(validation, "best.keras") == pytest.approx(1 - best)


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
