"""TrainOptions: names to axes, recipes to values, a name for each configuration, refusals."""

import dataclasses
import os

import pytest

from attention_keras.commands.command_line import parse
from attention_keras.data.geometry import RESIZES
from attention_keras.errors import UserError
from attention_keras.runs.options import TrainOptions
from attention_keras.runs.recipes import Recipe, find_recipe


def resolved(**flags):
    return TrainOptions.of(**flags).resolve()


def test_svhn_pc_is_the_papers_att2_concat_pc():
    config = resolved(dataset="svhn", compat="pc")
    recipe = config.recipe
    assert config.model.name == "vgg-att2-concat-pc"
    assert (recipe.width, recipe.epochs, recipe.batch_size) == (1.0, 300, 128)
    assert (recipe.optimizer, recipe.learning_rate, recipe.weight_decay) == ("sgd", 0.01, 5e-4)
    assert (recipe.augment, recipe.dropout, recipe.init) == ("none", True, "torch")


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
        ({"backbone": "keras:MobileNetV2", "taps": ("a", "b")}, "mobilenetv2-att2-linear-scaled"),
    ],
)
def test_axes_change_the_model_name(flags, name):
    assert resolved(**flags).model.name == name


def test_every_recipe_field_is_open_in_the_options_and_filled_by_resolving():
    options = TrainOptions()
    for entry in dataclasses.fields(Recipe):
        group = options.model if hasattr(options.model, entry.name) else options.recipe
        assert getattr(group, entry.name) is None
    for dataset in ("cluttered_digits", "svhn", "cifar10", "cifar100", "cub200", "folder:x"):
        for backbone in ("vgg", "rn164"):
            assert resolved(dataset=dataset, backbone=backbone).recipe == find_recipe(
                "auto", dataset, backbone
            )


def test_nothing_in_a_config_is_none():
    for flags in ({}, {"model": "vgg"}, {"backbone": "keras:VGG16", "taps": ("x",)}):
        assert None not in resolved(**flags).flat().values()


def test_digits_are_not_flipped_by_default():
    for dataset, augment in (
        ("tfds:mnist", "none"),
        ("tfds:svhn_cropped:3.*.*", "none"),
        ("tfds:cifar10", "flip"),
    ):
        assert resolved(dataset=dataset).recipe.augment == augment


def test_flags_override_the_recipe():
    recipe = resolved(dataset="cifar10", epochs=3, learning_rate=0.5, augment="none").recipe
    assert (recipe.epochs, recipe.learning_rate, recipe.augment) == (3, 0.5, "none")
    assert recipe.weight_decay == 5e-4


def test_words_and_arguments_make_the_same_options():
    words = "--dataset cifar10 --width 0.25 --dropout False --taps a b --backbone keras:VGG16 --no-export"
    flags = {"dataset": "cifar10", "width": 0.25, "dropout": False, "taps": ("a", "b"), "export": False}
    assert parse(TrainOptions, words.split()) == TrainOptions.of(backbone="keras:VGG16", **flags)


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({}, "cluttered_digits-vgg-att2-concat-pc-s0"),
        ({"seed": 3, "compat": "dp"}, "cluttered_digits-vgg-att2-concat-dp-s3"),
        ({"recipe": "embedded", "epochs": 8}, "cluttered_digits-vgg-att2-concat-pc-s0"),
        (
            {"dataset": "cifar10", "width": 0.25, "epochs": 20},
            "cifar10-vgg-att2-concat-pc-s0-width0.25-epochs20",
        ),
        ({"precision": "float32"}, "cluttered_digits-vgg-att2-concat-pc-s0-precisionfloat32"),
        (
            {"dataset": "folder:my/Photos 1", "image_size": 64},
            "folder-Photos_1-vgg-att2-concat-pc-s0-image-size64",
        ),
        ({"name": "demo", "epochs": 3}, "demo"),
    ],
)
def test_another_configuration_gets_another_name(flags, name):
    assert TrainOptions.of(**flags).run_name() == name


def test_every_option_that_defines_a_run_changes_its_name():
    """But for those of the machine, under which a run may be resumed."""
    others = {
        "validation_fraction": 0.2, "limit": 50, "image_size": 48, "svhn_extra": True, "skip_broken": True,
        "width": 0.5, "dropout": True, "init": "torch", "preprocess": "none", "init_from": "runs/x",
        "megapixels": 100,
        "epochs": 3, "batch_size": 32, "accumulate": 2, "optimizer": "sgd", "learning_rate": 0.5,
        "schedule": "constant", "weight_decay": 0.5, "label_smoothing": 0.3, "ema": 0.9, "augment": "flip",
        "seed": 5,
        "deterministic": True, "precision": "float32", "steps_per_execution": 2,
        "levels": 1, "compat": "dp", "aggregate": "indep", "normalization": "sigmoid", "project": "up",
        "globals": "per_level", "head": "linear", "recipe": "quick", "dataset": "svhn", "model": "vgg",
        "backbone": "rn164", "attend_to": 0.5, "patience": 3, "balance": True, "frozen_learning_rate": 0.1,
    }  # fmt: skip
    names = {TrainOptions().run_name()} | {TrainOptions.of(**{k: v}).run_name() for k, v in others.items()}
    assert len(names) == 1 + len(others)
    taps = [TrainOptions.of(backbone="keras:VGG16", taps=(tap,)).run_name() for tap in ("a", "b")]
    assert taps[0] != taps[1]
    shares = [TrainOptions.of(attend_to=1.0, attend_to_fraction=share).run_name() for share in (0.1, 1.0)]
    assert shares[0] != shares[1]
    options = TrainOptions()
    told = {
        field.name
        for group in (options.data, options.model, options.recipe)
        for field in dataclasses.fields(group)
    }
    kinds = [TrainOptions.of(dataset="folder:photos", resize=kind).run_name() for kind in RESIZES]
    assert len(set(kinds)) == len(RESIZES)
    weights = [
        TrainOptions.of(backbone="keras:VGG16", weights=name, frozen_epochs=epochs).run_name()
        for name in ("imagenet", "mine.weights.h5")
        for epochs in (2, 3)
    ]
    assert len(set(weights)) == 4
    assert told == others.keys() | {"taps", "attend_to_fraction", "resize", "weights", "frozen_epochs"}


def test_a_long_name_is_cut_and_stays_its_own():
    long = [TrainOptions.of(init_from="x" * 300 + end).run_name() for end in "ab"]
    assert long[0] != long[1] and max(map(len, long)) <= 120


def test_a_folder_is_the_same_from_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolved(dataset="folder:photos/").data.dataset == f"folder:{tmp_path}{os.sep}photos"


def test_what_is_repeatable_goes_with_deterministic():
    config = resolved(augment="flip+cutout+mixup+cutmix", deterministic=True)
    assert config.deterministic and config.recipe.augment == "flip+cutout+mixup+cutmix"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"epochs": -1}, "epochs must be 0 or more; got -1"),
        ({"batch_size": 0}, "batch_size"),
        ({"model": "vgg-att9-pc"}, "unknown model"),
        ({"model": "vgg", "compat": "dp"}, "no attention"),
        ({"levels": 4}, "levels must be 1, 2 or 3"),
        ({"compat": "cosine"}, "expected one of dp, pc"),
        ({"learning_rate": float("nan")}, "positive"),
        ({"validation_fraction": 0.0}, "between 0 and 1"),
        ({"limit": -1}, "limit must be 0 or more"),
        ({"name": "../up"}, "name must be"),
        ({"seed": -1}, "seed"),
        ({"epochs": "3"}, "epochs: '3' is not allowed"),
        ({"backbone": "keras:VGG16", "taps": ("x",), "model": "vgg"}, "are two networks; give one of them"),
        (
            {"backbone": "keras:VGG16", "taps": ("x",), "levels": 2},
            r"of its taps \(x\); .*got levels 2",
        ),
        ({"checkpoint_every": 0}, "must be steps, such as 500, or minutes, such as 10min; got 0"),
        ({"checkpoint_every": "often"}, "got 'often'"),
        ({"checkpoint_every": "5min", "strategy": "multi_worker"}, "does not work under multi_worker"),
        ({"augment": "flips"}, "unknown augmentation 'flips'"),
        (
            {"augment": "cutmix+randaugment", "deterministic": True},
            "cannot be repeated; .* use flip, crop, crop_reflect, cutout, mixup, cutmix$",
        ),
        ({"ema": 1.0}, "ema must be from 0 up to 1; got 1.0"),
        ({"accumulate": 3}, "accumulate must divide batch_size; got 3 and 64"),
        ({"attend_to": -1.0}, "attend_to must be 0 or a positive number; got -1.0"),
        ({"attend_to": float("inf")}, "attend_to must be 0 or a positive number; got inf"),
        ({"attend_to": 1.0, "attend_to_fraction": 0.0}, "must be above 0 and at most 1; got 0.0"),
        ({"attend_to": 1.0, "attend_to_fraction": 1.5}, "must be above 0 and at most 1; got 1.5"),
        ({"attend_to_fraction": 0.1}, "give the weight attend_to beside it"),
        ({"attend_to": 1.0, "model": "vgg"}, "needs a network that learns where to look, .*; got vgg"),
        ({"attend_to": 1.0, "compat": "mean"}, "got vgg-att2-concat-mean"),
        (
            {"attend_to": 1.0, "dataset": "svhn"},
            "no masks .* come with cluttered_digits, cub200, and",
        ),
        ({"attend_to": 1.0, "augment": "flip+mixup"}, "augment mixup changes images alone; use flip, crop"),
        ({"attend_to": 1.0, "augment": "cutout"}, "augment cutout changes images alone"),
        ({"epoch": 3}, "there is no option 'epoch'"),
    ],
)
def test_refusals_name_the_field(flags, said):
    with pytest.raises(UserError, match=said):
        TrainOptions.of(**flags)
