"""RunConfig: names to networks, recipes to values, JSON round trips, comparisons, refusals."""

import json
import os

import pytest

from attention_keras.errors import UserError
from attention_keras.runs.config import RunConfig
from attention_keras.runs.options import options_of
from attention_keras.runs.recipes import find_recipe

CONFIGS = (
    {},
    {"model": "vgg"},
    {"model": "vgg-att3-concat-pc-lup-3g", "limit": 7},
    {"backbone": "rn164", "recipe": "quick", "dataset": "cifar10", "optimizer": "sgd"},
    {"backbone": "keras:VGG16", "taps": ("x", "y"), "compat": "dp"},
    {"backbone": "keras:VGG16", "model": "vgg16-att-indep-linear-dp"},
    {"backbone": "trunk.keras", "dataset": "folder:photos", "epochs": 0, "head": "paper"},
    {"dataset": "tfds:flowers", "resize": "pad", "init_from": "runs/a", "dropout": False},
)


def test_names_and_recipes_make_the_networks_and_the_values():
    config = RunConfig(dataset="svhn", compat="pc")
    assert config.model == "vgg-att2-concat-pc"
    assert (config.width, config.epochs, config.batch_size) == (1.0, 300, 128)
    assert (config.optimizer, config.learning_rate, config.weight_decay) == ("sgd", 0.01, 5e-4)
    assert (config.augment, config.dropout, config.init) == ("none", True, "torch")
    for given, name in (
        ({"model": "vgg"}, "vgg"),
        ({"compat": "dp"}, "vgg-att2-concat-dp"),
        ({"head": "linear"}, "vgg-att2-linear-pc"),
        ({"backbone": "rn164"}, "rn164-att2-concat-pc"),
        ({"model": "vgg-att1-dp", "compat": "dp"}, "vgg-att1-dp"),
        ({"model": "vgg-att3-concat-pc-lup-3g"}, "vgg-att3-concat-pc-lup-3g"),
        ({"backbone": "keras:MobileNetV2", "taps": ("a", "b")}, "mobilenetv2-att2-linear-scaled"),
        ({"backbone": "keras:VGG16", "model": "vgg16-att-indep-linear-dp"}, "vgg16-att-indep-linear-dp"),
    ):
        config = RunConfig(**given)
        assert config.spec.name == config.model == name
    assert config.spec.aggregate == "indep"


def test_every_open_value_is_filled_in_and_records_make_the_same_config():
    opened = {name for name, about in options_of(RunConfig).items() if about.default == "the recipe's"}
    assert find_recipe("auto", "svhn", "vgg").keys() == opened | {"recipe"}
    for given in CONFIGS:
        config = RunConfig(**given)
        empty = {name for name in options_of(config) if getattr(config, name) is None}
        assert empty == ({"compat", "head"} if config.spec.variant != "attention" else set())
        for values in (json.loads(json.dumps(config.to_dict())), config.given()):
            assert RunConfig.from_dict(values) == config, given
        assert config.replace() == config and not RunConfig.from_dict(config.identity()).differences(config)


def test_what_is_given_goes_before_the_recipe_and_what_was_filled_in_is_filled_in_anew():
    config = RunConfig(dataset="cifar10", epochs=3, learning_rate=1, augment="none")
    assert (config.epochs, config.learning_rate, config.augment) == (3, 1.0, "none")
    assert config.weight_decay == 5e-4
    # Digits are not flipped by default.
    datasets = {"tfds:mnist": "none", "tfds:svhn_cropped:3.*.*": "none", "tfds:cifar10": "flip"}
    assert {name: RunConfig(dataset=name).augment for name in datasets} == datasets
    config = RunConfig(dataset="cifar10", recipe="quick", width=0.5)
    assert config.given() == {"dataset": "cifar10", "recipe": "quick", "width": 0.5}
    other = config.replace(dataset="svhn", recipe="auto", compat="dp")
    assert (other.recipe, other.learning_rate, other.width) == ("paper", 0.01, 0.5)
    assert other.model == "vgg-att2-concat-dp"


def test_differences_name_what_makes_another_run():
    config = RunConfig(precision="float32")
    assert config.differences(config.replace(run_dir="x", name="y", export="none", strategy="mirrored")) == {}
    assert config.differences(config.replace(epochs=9, seed=1)) == {"epochs": (8, 9), "seed": (0, 1)}
    other = config.replace(compat="dp")
    assert config.differences(other) == {"model": ("vgg-att2-concat-pc", "vgg-att2-concat-dp")}
    settled = RunConfig(precision="float32", image_size=32)  # what is left open differs from nothing
    assert settled.differences(RunConfig()) == {}
    assert RunConfig().differences(settled).keys() == {"precision", "image_size"}


def test_files_and_folders_are_the_same_from_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = f"{tmp_path}{os.sep}"
    config = RunConfig(dataset="folder:photos/", backbone="trunk.keras", init_from="runs/a")
    assert (config.dataset, config.spec.file) == (f"folder:{here}photos", f"{here}trunk.keras")
    assert config.init_from == f"{here}runs{os.sep}a"


def test_refusals_are_one_line_and_name_the_field():
    vgg16 = {"backbone": "keras:VGG16"}
    tiled = {"dataset": "folder:x", "backbone": "b.keras", "tiles": 32}
    wrong = {}
    for given, said in (
        ({"epochs": 0}, "epochs must be 1 or more; 0 is for a run of frozen_epochs alone"),
        ({"epochs": "3"}, "epochs: '3' is not allowed; expected int"),
        ({"seed": True}, "seed: True is not allowed"),
        ({"model": "vgg-att9-pc"}, "unknown model"),
        ({"learning_rate": float("nan")}, "learning_rate must be a positive number"),
        ({"name": "../up"}, "name must be"),
        ({"model": "vgg", **vgg16}, "are two networks; give one of them"),
        ({"backbone": "EfficientNetV2B0"}, "or a .keras file; got 'EfficientNetV2B0'"),
        ({"preprocess": "meanstd", **vgg16}, "comes with its own preprocessing"),
        ({"weights": "imagenet"}, "weights are for a backbone keras:<Application>"),
        ({"resize": "squash"}, "resize: 'squash' is not allowed; expected one of crop, stretch, pad"),
        ({"resize": "pad"}, "resize is for folder:PATH, table:FILE and tfds:NAME"),
        ({"augment": "flips"}, "unknown augmentation 'flips'"),
        ({"augment": "resized_crop"}, "is cut from image files, which folder:PATH"),
        ({"augment": "cutmix+randaugment", "deterministic": True}, "cannot be repeated; "),
        ({"accumulate": 3}, "accumulate must divide batch_size; got 3 and 64"),
        ({"frozen_epochs": 2}, "frozen_epochs are for a backbone"),
        ({"attend_to_fraction": 0.1}, "give the weight attend_to beside it"),
        ({"attend_to": 1.0, "dataset": "svhn"}, "masks come with cluttered_digits, cub200, and"),
        ({"attend_to": 1.0, "augment": "flip+mixup"}, "augment mixup changes images alone"),
        ({"epoch": 3}, "there is no option 'epoch'"),
        ({**tiled, "dataset": "cifar10"}, "folder:PATH and table:FILE"),
        ({"image_size": 64, **tiled}, "leave out image_size"),
        ({"epochs": 2, **tiled}, "0 epochs"),
        ({"preprocess": "meanstd", **tiled}, "images of one size"),
        ({"frozen_epochs": 4, **tiled}, "fitted to a frozen backbone in one go"),
        ({"margin": 8}, "a margin is of tiles"),
    ):
        try:
            RunConfig.from_dict(given)
            message = "accepted"
        except UserError as error:
            message = str(error)
        if said not in message or "\n" in message:
            wrong[str(given)] = message
    assert not wrong


def test_a_broken_record_is_one_error():
    broken = ([], 3, None, {"taps": [3]}, {"model": {"backbone": 7}}, {"dataset": 7}, {"model": 5}, {1: 2})
    for values in broken:
        with pytest.raises(UserError) as raised:
            RunConfig.from_dict(values)
        assert "\n" not in str(raised.value)
