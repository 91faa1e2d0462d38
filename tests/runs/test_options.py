"""TrainConfig: names to axes, recipes to values, JSON round trip, refusals."""

import dataclasses
import json

import pytest

from attention_keras.errors import UserError
from attention_keras.runs.options import TrainConfig
from attention_keras.runs.recipes import recipe_values


def test_svhn_pc_is_the_papers_att2_concat_pc():
    config = TrainConfig(dataset="svhn", compat="pc").resolved()
    assert config.model == "vgg-att2-concat-pc"
    assert (config.width, config.epochs, config.batch_size) == (1.0, 300, 128)
    assert (config.optimizer, config.learning_rate, config.weight_decay) == ("sgd", 0.01, 5e-4)
    assert (config.augment, config.dropout, config.init) == ("none", True, "torch")


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({"model": "vgg"}, "vgg"),
        ({"compat": "dp"}, "vgg-att2-concat-dp"),
        ({"levels": 3, "aggregate": "indep"}, "vgg-att3-indep-pc"),
        ({"levels": 1}, "vgg-att1-pc"),
        ({"backbone": "rn164"}, "rn164-att2-concat-pc"),
        ({"model": "vgg-att1-dp", "compat": "dp"}, "vgg-att1-dp"),
        ({"levels": 3, "globals": "per_level", "project": "up"}, "vgg-att3-concat-pc-lup-3g"),
        ({"backbone": "keras:MobileNetV2", "taps": ("a", "b")}, "mobilenetv2-att2-concat-dp"),
    ],
)
def test_axes_change_the_model_name(flags, name):
    resolved = TrainConfig(**flags).resolved()
    assert resolved.model == name
    assert resolved.resolved() == resolved


def test_every_recipe_field_is_open_in_the_config_and_filled_by_resolving():
    for dataset in ("cluttered_digits", "svhn", "cifar10", "cifar100", "cub200", "folder:x"):
        for backbone in ("vgg", "rn164"):
            values = recipe_values("paper", dataset, backbone)
            assert set(values) == set(recipe_values("embedded", dataset, backbone))
            for name in values:
                assert getattr(TrainConfig(), name) is None
    resolved = TrainConfig().resolved()
    open_fields = {f.name for f in dataclasses.fields(resolved) if getattr(resolved, f.name) is None}
    assert open_fields == {"data_dir", "limit", "image_size", "init_from", "taps"}


def test_digits_are_not_flipped_by_default():
    for dataset, augment in (
        ("tfds:mnist", "none"),
        ("tfds:svhn_cropped:3.*.*", "none"),
        ("tfds:cifar10", "flip"),
    ):
        assert TrainConfig(dataset=dataset).resolved().augment == augment


def test_flags_override_the_recipe():
    config = TrainConfig(dataset="cifar10", epochs=3, learning_rate=0.5, augment="none").resolved()
    assert (config.epochs, config.learning_rate, config.augment) == (3, 0.5, "none")
    assert config.weight_decay == 5e-4


def test_json_round_trip(tmp_path):
    config = TrainConfig(backbone="keras:VGG16", taps=("x", "y"), limit=7, seed=3).resolved()
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    assert TrainConfig.load(tmp_path) == config


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"epochs": -1}, "epochs must be 1 or more; got -1"),
        ({"batch_size": 0}, "batch_size"),
        ({"model": "vgg-att9-pc"}, "unknown model"),
        ({"model": "vgg", "compat": "dp"}, "no attention"),
        ({"levels": 4}, "levels must be 1, 2 or 3"),
        ({"compat": "cosine"}, "expected one of dp, pc"),
        ({"learning_rate": float("nan")}, "positive"),
        ({"validation_fraction": 0.0}, "between 0 and 1"),
        ({"name": "../up"}, "name must be"),
        ({"seed": -1}, "seed"),
        ({"epochs": "3"}, "epochs: '3' is not allowed"),
        ({"backbone": "keras:VGG16"}, "needs taps"),
        ({"backbone": "keras:VGG16", "taps": ("x",), "model": "vgg"}, "are two networks; give one of them"),
        ({"backbone": "keras:VGG16", "taps": ("x",), "levels": 2}, "a level for each tap: 1; got 2"),
        ({"checkpoint_every": 0}, "must be steps, such as 500, or minutes, such as 10min; got 0"),
        ({"checkpoint_every": "often"}, "got 'often'"),
        ({"checkpoint_every": "5min", "strategy": "multi_worker"}, "does not work under multi_worker"),
    ],
)
def test_refusals_name_the_field(flags, said):
    with pytest.raises(UserError, match=said):
        TrainConfig(**flags)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b'{"colour": 1}',
        b'{"epochs": "many"}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"seed": true}',
    ],
)
def test_a_broken_config_file_is_one_error(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError):
        TrainConfig.load(tmp_path)


def test_differences_ignore_where_a_run_lives():
    config = TrainConfig().resolved()
    moved = dataclasses.replace(config, run_dir="/elsewhere", keep=9, data_dir="x")
    assert config.differences(moved) == {}
    assert config.differences(dataclasses.replace(config, epochs=9)) == {"epochs": (8, 9)}
