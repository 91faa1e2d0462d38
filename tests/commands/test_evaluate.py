"""evaluate.py on a run, a .keras file and a SavedModel: the same numbers; every test image counts."""

import json
import shutil

import keras
import numpy as np
import pytest

from attention_keras import build_model
from attention_keras.commands.evaluate import run
from attention_keras.data.datasets import load_dataset
from attention_keras.errors import UserError
from attention_keras.evaluation.options import TASKS, AllOptions, ClassificationOptions
from attention_keras.evaluation.subjects.load import load_predictor, load_subjects
from attention_keras.models.parts import count_parameters
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.serving.export import export_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run directory as training leaves it, with an untrained model."""
    path = tmp_path_factory.mktemp("runs") / "tiny"
    path.mkdir()
    options = RunConfig(limit=100, width=0.03, name="tiny")
    with Run(path).writing(options):
        pass
    (path / "metrics.json").write_text(json.dumps({"test_error": 0.9}))
    names = load_dataset("cluttered_digits", limit=5).class_names
    (path / "labels.txt").write_text("".join(f"{name}\n" for name in names))
    keras.utils.set_random_seed(0)
    build_model("vgg-att2-concat-pc", width=0.03).save(path / "model.keras")
    return path


@pytest.fixture(scope="module")
def saved_model(trained, tmp_path_factory):
    [exported] = export_run(trained, tmp_path_factory.mktemp("exports"))
    return exported.path


def test_labels_of_another_model_are_refused(trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    (copy / "labels.txt").write_text("".join(f"{number}\n" for number in range(9)))
    with pytest.raises(UserError, match="has 9 names, and its model tells 10 classes apart"):
        load_predictor(copy)


def evaluate(model, task="classification", **options):
    kind = AllOptions if task == "all" else TASKS[task]
    assert run(kind((str(model),), **options)) == 0


def results(path):
    (values,) = json.loads((path / "classification.json").read_text())["values"].values()
    return values


def test_a_run_is_evaluated_on_every_test_image(trained, capsys):
    evaluate(trained, batch_size=7, panels=3)  # 20 images: the last batch has 6
    folder = trained / "evaluation"
    assert {p.name for p in folder.iterdir()} == {
        "answers.csv",
        "classification.json",
        "classification.csv",
        "classification-2.csv",
        "classification-3.csv",
        "classification-4.csv",
        "classification-confusion.png",
        "classification-reliability.png",
        "panels",
        "report.html",
    }
    assert len(list((folder / "panels").iterdir())) == 3
    (folder / "panels" / "mine.png").write_bytes(b"")
    evaluate(trained, batch_size=7, panels=1)
    assert sorted(p.name for p in (folder / "panels").iterdir()) == ["00.png", "mine.png"]
    metrics = results(folder)
    by_class = (folder / "classification-4.csv").read_text().splitlines()[1:]
    shares = [(line.split(",")[0], float(line.split(",")[2])) for line in by_class]
    wrong = {name: share for name, share in metrics["per_class_accuracy"].items() if share not in (1, None)}
    assert dict(shares) == wrong and [share for _, share in shares] == sorted(wrong.values())
    test = load_dataset("cluttered_digits", limit=100).test()
    assert metrics["images"] == len(test) == 20
    logits = keras.models.load_model(trained / "model.keras")(test.images.astype("float32"))["logits"]
    assert metrics["error"] == pytest.approx(np.mean(np.argmax(logits, -1) != test.labels))
    assert set(metrics["localization"]) == {"conv10", "conv13", "evidence"}
    network = build_model("vgg-att2-concat-pc", width=0.03)
    parameters = f"{count_parameters(network)},{network.count_params()}"
    assert f",20,{parameters}\n" in (folder / "classification.csv").read_text()
    assert "Do the maps point at the object?" in capsys.readouterr().out


def test_a_second_evaluation_replaces_the_first(trained, tmp_path):
    evaluate(trained, output=str(tmp_path / "out"))
    (tmp_path / "out" / "classification-stale.png").write_bytes(b"")
    (tmp_path / "out" / "mine.txt").write_text("kept")
    evaluate(trained, output=str(tmp_path / "out"), limit=3)
    assert results(tmp_path / "out")["images"] == 3
    assert not (tmp_path / "out" / "classification-stale.png").exists()
    assert (tmp_path / "out" / "mine.txt").exists()
    assert not list((tmp_path / "out").glob(".*"))


def test_a_card_of_another_version_is_of_unknown_training(saved_model, tmp_path):
    copy = shutil.copytree(saved_model, tmp_path / "digits" / "1")
    card = json.loads((copy / "assets" / "model_card.json").read_text())
    for config in ({"model": {"backbone": "vgg"}, "compat": "pc"}, []):
        (copy / "assets" / "model_card.json").write_text(json.dumps(card | {"config": config}))
        [subject] = load_subjects([str(copy)])
        assert subject.trained is None and subject.predictor.num_classes == 10
    evaluate(copy, dataset="cluttered_digits", limit=5, output=str(tmp_path / "out"))
    assert results(tmp_path / "out")["images"] == 5


def test_what_was_measured_before_a_task_fails_is_reported(saved_model, tmp_path, capsys):
    evaluate(saved_model, task="all", limit=5, output=str(tmp_path))
    assert "faithfulness: left out" in capsys.readouterr().out
    (tmp_path / "hollow").mkdir()
    masks = f"folder:{tmp_path / 'hollow'}"
    with pytest.raises(UserError, match="good for classification only"):
        evaluate(saved_model, task="faithfulness", output=str(tmp_path))
    with pytest.raises(UserError, match="hollow"):
        evaluate(saved_model, task="all", limit=5, masks=masks, output=str(tmp_path / "again"))
    for folder in (tmp_path, tmp_path / "again"):
        assert "<h2>Classification</h2>" in (folder / "report.html").read_text()


def test_runs_of_different_datasets_are_not_mixed(trained, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    options = RunConfig(dataset="svhn", width=0.03, name="other")
    with Run(other).writing(options):
        pass
    with pytest.raises(UserError, match="given twice"):
        run(ClassificationOptions((str(trained), str(trained))))
    with pytest.raises(UserError, match="trained on cluttered_digits and svhn; evaluate them one by one"):
        run(ClassificationOptions((str(trained), str(other))))
    named = shutil.copytree(trained, tmp_path / "names" / "tiny")
    (named / "labels.txt").write_text("".join(f"sign {number}\n" for number in range(10)))
    with pytest.raises(UserError, match="answers with classes such as 'sign 0'"):
        evaluate(named)


def test_wrong_options(trained):
    for options, said in (
        ({"limit": -1}, "limit must be 0 or more"),
        ({"queries": "nowhere"}, "queries: there is no folder nowhere"),
        ({"masks": "folder:nowhere"}, "masks: there is no folder nowhere"),
        ({"targets": ("tfds:stl10", "folder:nowhere")}, "targets: there is no folder nowhere"),
        ({"epsilons": (300.0,)}, "epsilons must be from 0 to 255"),
        ({"dataset": "cluttered_digit"}, "cluttered_digits"),
    ):
        with pytest.raises(UserError, match=said):
            evaluate(trained, "all", **options)


def test_a_model_for_other_classes_is_refused(trained, tmp_path):
    build_model("vgg", num_classes=7, width=0.03).save(tmp_path / "seven.keras")
    with pytest.raises(UserError, match="7 classes apart and cluttered_digits has 10"):
        evaluate(tmp_path / "seven.keras", dataset="cluttered_digits")
    build_model("vgg", (48, 48, 3), width=0.03).save(tmp_path / "large.keras")
    with pytest.raises(UserError, match="takes images of"):
        evaluate(tmp_path / "large.keras", dataset="cluttered_digits")
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".keras", ".keras"]
