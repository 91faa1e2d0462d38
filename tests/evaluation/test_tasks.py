"""Every task through the command on untrained networks, in one report."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from attention_keras.commands.evaluate import run
from attention_keras.data.datasets import load_dataset
from attention_keras.data.registry import CIFAR10
from attention_keras.errors import UserError
from attention_keras.evaluation import options as of
from attention_keras.evaluation.options import TASKS
from attention_keras.evaluation.subjects.load import load_subjects
from attention_keras.evaluation.tasks.transfer import PENALTIES, direct_accuracy, linear_accuracy
from attention_keras.runs.directory import Run


@pytest.mark.slow
def test_all_tasks_side_by_side_in_one_report(runs, tmp_path, capsys):
    common = {"limit": 6, "output": str(tmp_path)}
    small = {"steps": 4, "epsilons": (0, 4), "pgd_steps": 2, "pgd_restarts": 1, "rows": 3, "panels": 4}
    for options in (
        of.AllOptions((runs[0],), **small, **common),
        of.QueryOptions(tuple(runs), **common),
        of.MapsOptions(tuple(runs), rows=3, versus="second", **common),
        of.SegmentationOptions(tuple(runs[1:]), **common),
    ):
        assert run(options) == 0
    assert "transfer: left out, of cluttered_digits a class has fewer" in capsys.readouterr().out
    assert run(of.TransferOptions((runs[0],), output=str(tmp_path))) == 0
    page = (tmp_path / "report.html").read_text()
    assert re.findall(r'href="([^"]+)"', page) == [f"#{task}" for task in TASKS]
    values = {task: json.loads((tmp_path / f"{task}.json").read_text())["values"] for task in TASKS}
    assert values["query"]["vgg-att1-pc"]["taps_that_ignore_g"] == ["conv13"]
    assert set(values["maps"]["vgg-att1-pc"]["maps"]) == {"conv13", "evidence", "rather than second"}
    robust = values["robustness"]["vgg-att2-concat-dp"]
    assert robust["epsilons"] == [0, 4] and robust["fooling_rate"]["PGD"][0] == 0
    assert robust["accuracy"]["FGSM"][0] == robust["accuracy"]["noise"][0]
    faithful = values["faithfulness"]["vgg-att2-concat-dp"]
    assert {"attention conv10", "Score-CAM", "evidence conv13", "evidence all", "random"} <= set(faithful)
    assert 0 <= faithful["random"]["insertion"][0] <= 1 and 0 < faithful["evidence all"]["rank_on_object"] < 1
    guesses = values["segmentation"]["no model"]
    assert guesses["all object"]["jaccard"] == pytest.approx(guesses["all object"]["precision"])


def test_chosen_maps_and_what_does_not_apply(runs, tmp_path):
    output = {"output": str(tmp_path)}
    assert run(of.FaithfulnessOptions((runs[0],), limit=4, maps=("evidence", "random"), **output)) == 0
    [values] = json.loads((tmp_path / "faithfulness.json").read_text())["values"].values()
    assert set(values) == {"evidence conv10", "evidence conv13", "evidence all", "random"}
    with pytest.raises(UserError, match="no run has attention"):
        run(of.QueryOptions((runs[2],), **output))
    with pytest.raises(UserError, match=r"versus must be second or a class: zero, one, .*; got 'cat'"):
        run(of.MapsOptions((runs[0],), rows=2, versus="cat", **output))


def test_masks_queries_and_targets_from_folders(runs, tmp_path, capsys):
    half = Image.fromarray(np.repeat(np.uint8([[255, 0]]), 16, axis=1).repeat(32, axis=0))
    for index, noise in enumerate(np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), "uint8")):
        folder = tmp_path / "data" / "ab"[index % 2]
        (folder / "GroundTruth").mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).save(folder / f"{index}.png")
        half.save(folder / "GroundTruth" / f"{index}.png")
    common = {"output": str(tmp_path / "out"), "batch_size": 5}
    folder = f"folder:{tmp_path / 'data'}"
    assert run(of.SegmentationOptions((runs[0],), masks=folder, **common)) == 0
    values = json.loads((tmp_path / "out" / "segmentation.json").read_text())["values"]
    assert values["no model"]["all object"]["jaccard"] == pytest.approx(0.5)
    pair = {"queries": str(tmp_path / "data" / "a"), "scenes": str(tmp_path / "data" / "b")}
    assert run(of.QueryOptions((runs[0],), **pair, **common)) == 0
    assert run(of.TransferOptions((runs[0],), targets=(folder,), **common)) == 0
    assert "Accuracy of a linear SVM" in capsys.readouterr().out


def test_the_model_file_of_a_run_predicts_as_the_run_does(runs):
    of_run, of_file = load_subjects([runs[0], f"{runs[0]}/model.keras"])
    images = load_dataset("cluttered_digits", limit=5).train.images
    np.testing.assert_array_equal(*(s.predictor.predict(images)["probabilities"] for s in (of_run, of_file)))
    assert of_file.predictor.class_names == of_run.predictor.class_names
    assert of_file.predictor.temperature == 2.5 and of_file.trained == Run(runs[0]).config


def test_separable_features_at_any_scale_and_useless_ones():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 240)
    useful = np.eye(3)[labels] * 4 + generator.normal(size=(240, 3))
    useless = generator.normal(size=(240, 3))
    found, scaled, chance = (
        linear_accuracy(f[:150], labels[:150], f[150:], labels[150:])
        for f in (useful, useful * [1e4, 1, 1e-4], useless)
    )
    assert found["accuracy"] > 0.95 and found["validation_accuracy"] > 0.95 and found["features"] == 3
    assert found["penalty"] in PENALTIES and scaled["accuracy"] == found["accuracy"]
    assert 0.15 < chance["accuracy"] < 0.55


def test_cifar10_answers_on_stl10():
    stl10 = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
    labels = np.array([0, 2, 7, 9])  # airplane, car, monkey (which CIFAR-10 has not), truck
    predicted = np.array([CIFAR10.index(name) for name in ("airplane", "automobile", "frog", "frog")])
    assert direct_accuracy((predicted, CIFAR10), (labels, stl10)) == (2 / 3, 3)
    assert direct_accuracy((predicted, CIFAR10), (labels % 2, ("a", "b")))[1] == 0
