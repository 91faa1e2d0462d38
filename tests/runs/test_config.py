"""RunConfig: JSON round trips, what makes another run, files of version 0.1."""

import dataclasses
import json
from pathlib import Path

import pytest

from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig
from attention_keras.runs.options import TrainOptions

OLD = Path(__file__).parent / "version_0_1" / "config.json"
AXES = ("levels", "compat", "aggregate", "normalization", "project", "globals")


@pytest.mark.parametrize(
    "flags", [{}, {"model": "vgg"}, {"backbone": "keras:VGG16", "taps": ("x", "y"), "limit": 7}]
)
def test_json_round_trip(flags):
    config = TrainOptions.of(**flags).resolve()
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_record_of_version_0_1_is_the_same_config():
    """With the options that made it; the record is what version 0.1 wrote."""
    options = TrainOptions.of(
        model="vgg-att1-pc", limit=60, width=0.01, batch_size=16, precision="float32", dropout=True, epochs=2
    )
    assert RunConfig.from_dict(json.loads(OLD.read_text())) == options.resolve()


def test_a_record_without_later_fields_has_their_defaults():
    options = TrainOptions.of(limit=60)
    record = options.resolve().to_dict()
    assert (record.pop("attend_to"), record.pop("attend_to_fraction")) == (0.0, 1.0)
    assert record["recipe"].pop("ema") == 0.0
    assert RunConfig.from_dict(record) == options.resolve()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model": "vgg", **dict.fromkeys(AXES), "backbone": "vgg"}, ("vgg", 60)),
        ({"model": "vgg-att1-dp", "compat": "dp", "limit": None}, ("vgg-att1-dp", 0)),
        (
            {"model": "x", "backbone": "keras:VGG16", "taps": ["a", "b"], "limit": 9},
            ("vgg16-att2-concat-pc", 9),
        ),
    ],
)
def test_null_in_version_0_1_is_nothing_given(changes, expected):
    config = RunConfig.from_dict(json.loads(OLD.read_text()) | changes)
    assert (config.model.name, config.data.limit) == expected


def test_differences_name_what_makes_another_run():
    config = TrainOptions.of(precision="float32").resolve()
    assert config.differences(config) == {}
    other = dataclasses.replace(config, recipe=dataclasses.replace(config.recipe, epochs=9), seed=1)
    assert config.differences(other) == {"epochs": (8, 9), "seed": (0, 1)}
    dp = TrainOptions.of(precision="float32", compat="dp").resolve()
    assert config.differences(dp) == {
        "model": ("vgg-att2-concat-pc", "vgg-att2-concat-dp"),
        "compat": ("pc", "dp"),
    }


def test_what_is_left_open_differs_from_nothing():
    settled = TrainOptions.of(precision="float32", image_size=32).resolve()
    assert settled.differences(TrainOptions().resolve()) == {}
    assert TrainOptions().resolve().differences(settled).keys() == {"precision", "image_size"}


@pytest.mark.parametrize(
    "values",
    [
        [],
        {"colour": 1},
        {"epochs": "many"},
        {"seed": True},
        {"accumulate": 0},
        {"model": {"backbone": 7}},
        {"model": {"levels": [1]}},
        {"model": {}, "recipe": {}},
        {"model": {}, "recipe": []},
        {"model": {}, "data": {"limit": "all"}},
        {"model": {}, "colour": 1},
        {"model": []},
        {"taps": [3]},
    ],
)
def test_a_broken_record_is_one_error(values):
    with pytest.raises(UserError) as raised:
        RunConfig.from_dict(values)
    assert "\n" not in str(raised.value)
