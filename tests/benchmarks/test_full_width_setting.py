"""Full-width training takes a training as finished, or goes on with it, only where all is as it was."""

import json
from dataclasses import replace

import numpy as np
import pytest

from attention_keras.errors import UserError
from attention_keras.runs.recipes import MODERN
from benchmarks.full_width.parts import Pixels
from benchmarks.full_width.record import Record
from benchmarks.full_width.saved_state import load_state, save_state
from benchmarks.full_width.setting import Budget, Setting, conditions_of, differences


def pixels_of(count, value=0):
    images, labels = np.full((count, 4, 4, 3), value, "uint8"), np.zeros(count, "int32")
    return Pixels((images, labels), (images[:5], labels[:5]))


def given(folder, recipe=MODERN, pixels=None, epochs=None, seconds=90.0, precision="float32", held_out=2):
    setting = Setting(folder, precision, held_out)
    return conditions_of(recipe, pixels or pixels_of(10), Budget(epochs, seconds), setting)


CHANGES = [
    ({"seconds": 120.0}, "seconds 90.0 -> 120.0"),
    ({"epochs": 8}, "epochs None -> 8, seconds 90.0 -> None"),
    ({"precision": "mixed_bfloat16"}, "precision float32 -> mixed_bfloat16"),
    ({"held_out": 3}, "validation 2 -> 3"),
    ({"recipe": replace(MODERN, ema=0.9)}, "ema 0.0 -> 0.9"),
    ({"pixels": pixels_of(8)}, "train_images 10 -> 8, data "),
    ({"pixels": pixels_of(10, 1)}, "data "),
]


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_a_difference_is_named(change, said, tmp_path):
    assert differences(given(tmp_path), given(tmp_path, **change)).startswith(said)


def test_where_results_go_and_the_recipes_epochs_make_no_difference(tmp_path):
    assert not differences(given(tmp_path), given(tmp_path / "other", replace(MODERN, epochs=7)))
    assert not differences(given(tmp_path, epochs=4), given(tmp_path, epochs=4, seconds=7.0))


def test_labels_and_the_border_of_the_splits_belong_to_the_data():
    images, labels = pixels_of(10).train
    digests = {
        Pixels(train, test).digest
        for train, test in [
            ((images, labels), (images[:5], labels[:5])),
            ((images, labels + 1), (images[:5], labels[:5])),
            ((images[:8], labels[:8]), (images[:7], labels[:7])),  # as many in all
        ]
    }
    assert len(digests) == 3


STATE = ([np.float32([1, 2])], ())


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_a_state_of_another_training_is_refused(change, said, tmp_path):
    path = tmp_path / "vgg-s0.state.npz"
    save_state(path, STATE, {"conditions": given(tmp_path), "done": 1, "epochs": 3})
    with pytest.raises(UserError) as refusal:
        load_state(path, STATE, given(tmp_path, **change))
    assert f"is of another training ({said}" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_state_goes_on_with_the_epochs_that_a_time_gave(tmp_path):
    path = tmp_path / "vgg-s0.state.npz"
    earlier = given(tmp_path)
    del earlier["ema"]  # a recipe's field that came later
    save_state(path, STATE, {"conditions": earlier, "done": 1, "epochs": 34})
    state, about = load_state(path, STATE, given(tmp_path))
    np.testing.assert_array_equal(state[0][0], STATE[0][0])
    assert (about["done"], about["epochs"]) == (1, 34)


def test_a_state_that_knows_no_precision_is_refused(tmp_path):
    save_state(tmp_path / "state.npz", STATE, {"recipe": {}, "done": 1, "epochs": 3})
    with pytest.raises(UserError, match="an earlier version, which did not note precision"):
        load_state(tmp_path / "state.npz", STATE, given(tmp_path))


@pytest.fixture
def finished(tmp_path):
    """A record of vgg with seed 0 that ended after four epochs and kept two files of weights."""
    record = Record(tmp_path, "vgg", 0)
    files = ["vgg-s0.0.npz", "vgg-s0.1.npz"]
    for name in files:
        (tmp_path / name).touch()
    record.write("start", done=0)
    record.write("end", test_error=0.25, weights=files, conditions=given(tmp_path, epochs=4))
    return record


def test_an_end_is_found_for_its_own_training_alone(finished, tmp_path):
    four = given(tmp_path, epochs=4)
    assert finished.end(four, with_weights=True)["test_error"] == 0.25
    assert Record(tmp_path, "vgg", 1).end(four, with_weights=False) is None
    assert Record(tmp_path, "vgg-gap", 0).end(four, with_weights=False) is None


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_an_end_under_other_conditions_is_none(change, said, finished, tmp_path):
    finished.write("end", test_error=0.5, weights=[], conditions=given(tmp_path))
    assert finished.end(given(tmp_path), with_weights=False)["test_error"] == 0.5
    assert finished.end(given(tmp_path, **change), with_weights=False) is None


def test_a_training_that_another_has_replaced_is_not_finished(finished, tmp_path):
    finished.write("end", test_error=0.5, weights=[], conditions=given(tmp_path, epochs=8))
    assert finished.end(given(tmp_path, epochs=4), with_weights=False) is None


def test_weights_that_are_wanted_must_be_there(finished, tmp_path):
    four = given(tmp_path, epochs=4)
    (tmp_path / "vgg-s0.1.npz").unlink()
    assert finished.end(four, with_weights=True) is None
    assert finished.end(four, with_weights=False)["test_error"] == 0.25
    finished.write("end", test_error=0.5, weights=[], conditions=four)
    assert finished.end(four, with_weights=True) is None


def test_half_a_line_and_an_end_of_an_earlier_version_do_no_harm(tmp_path):
    earlier = json.dumps({"event": "end", "model": "vgg", "seed": 0, "test_error": 0.1})
    (tmp_path / "results.jsonl").write_text(earlier + '\n{"event": "en\n')
    assert Record(tmp_path, "vgg", 0).end(given(tmp_path), with_weights=False) is None
