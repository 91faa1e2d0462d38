"""What runs are called: short, in words, never a path, and never two of them the same."""

from pathlib import Path

from attention_keras.runs.config import RunConfig
from attention_keras.runs.names import name_of, run_of
from attention_keras.runs.options import options_of

# For every option that identifies a run another value, and what must go with it.
CHANGES = {
    "dataset": "svhn", "validation_fraction": 0.2, "limit": 50, "image_size": 48, "skip_broken": True,
    "model": "vgg", "width": 0.5, "dropout": True, "init": "torch", "preprocess": "none",
    "init_from": "runs/x", "epochs": 3, "frozen_learning_rate": 0.1, "patience": 3, "balance": True,
    "batch_size": 32, "accumulate": 2, "optimizer": "sgd", "learning_rate": 0.5, "schedule": "constant",
    "weight_decay": 0.5, "label_smoothing": 0.3, "ema": 0.9, "augment": "flip", "attend_to": 0.5,
    "seed": 5, "deterministic": True, "precision": "float32", "steps_per_execution": 2,
}  # fmt: skip
FOLDER, TABLE, VGG16 = {"dataset": "folder:photos"}, {"dataset": "table:a.csv"}, {"backbone": "keras:VGG16"}
TILED = {**FOLDER, **VGG16, "weights": "imagenet", "tiles": 224}
TOGETHER = {
    "columns": (TABLE, ("label=species",)), "group_by": (FOLDER, "parent"), "resize": (FOLDER, "pad"),
    "attend_to_fraction": ({"attend_to": 1.0}, 0.1), "taps": (VGG16, ("a",)), "weights": (VGG16, "imagenet"),
    "frozen_epochs": (VGG16, 2), "backbone": (VGG16, "keras:VGG19"), "range": (TABLE, (500.0, 4000.0)),
    "channels": (FOLDER, 5), "labels": (TABLE, "number"), "tiles": (TILED, 448), "margin": (TILED, 32),
}  # fmt: skip


def test_names_are_words():
    names = {
        "cluttered_digits-vgg-att2-concat-pc-s0": {},
        "cluttered_digits-vgg-att2-concat-dp-s3": {"seed": 3, "compat": "dp"},
        "cifar10-vgg-att2-concat-pc-quick-s0": {"dataset": "cifar10", "recipe": "quick"},
        "cifar10-vgg-att2-concat-pc-width0.25-s0": {"dataset": "cifar10", "width": 0.25},
        "cluttered_digits-vgg-att2-concat-pc-precision-float32-s0": {"precision": "float32"},
        "cluttered_digits-vgg-att2-concat-pc-init-from-demo-s0": {"init_from": "/far/away/demo"},
        "folder-Photos_1-vgg-att2-concat-pc-s0": {"dataset": "folder:my/Photos 1"},
        "cluttered_digits-vgg16-att-class-imagenet-s0": {**VGG16, "weights": "imagenet"},
    }
    assert {name_of(RunConfig(**given)): given for given in names.values()} == names
    assert name_of(RunConfig(recipe="embedded", epochs=8)) == name_of(RunConfig())
    assert run_of(RunConfig(name="demo", epochs=3)).path == Path("runs/demo")


def test_every_option_that_makes_another_run_makes_another_name(tmp_path):
    identifying = {name for name, about in options_of(RunConfig).items() if about.identifies}
    assert CHANGES.keys() | TOGETHER.keys() == identifying
    names = [name_of(RunConfig())] + [name_of(RunConfig(**{k: v})) for k, v in CHANGES.items()]
    names += [name_of(RunConfig(recipe="quick")), name_of(RunConfig(compat="dp"))]
    assert len(set(names)) == len(names)
    for option, (beside, value) in TOGETHER.items():
        assert name_of(RunConfig(**beside)) != name_of(RunConfig(**{**beside, option: value})), option


def test_a_name_that_another_run_holds_is_made_its_own(tmp_path):
    """Names say the last part of a path; another folder or file of that name is another run all the same."""
    photos = {"dataset": "folder:x/p"}
    for one, other in (
        ({"init_from": "a/demo"}, {"init_from": "b/demo"}),
        ({"backbone": "a/t.keras", **photos}, {"backbone": "b/t.keras", **photos}),
        ({"init_from": "x" * 300 + "a"}, {"init_from": "x" * 300 + "b"}),
    ):
        first, second = (RunConfig(run_dir=str(tmp_path), **given) for given in (one, other))
        with run_of(first).writing(first):
            assert run_of(second).path != run_of(first).path
            assert run_of(first).exists and len(run_of(second).path.name) <= 120
    # A trained network on a folder is called by the folder.
    given = {"dataset": "folder:my/Photos 1", "backbone": "keras:VGG16", "weights": "imagenet"}
    mine = RunConfig(run_dir=str(tmp_path), **given)
    with run_of(mine).writing(mine):
        assert run_of(mine).path == tmp_path / "Photos_1"
        other = run_of(mine.replace(seed=1)).path.name
        assert other == "folder-Photos_1-vgg16-att-class-imagenet-s1"
