"""evaluate.py on a run, a .keras file and a SavedModel: the same numbers; every test image counts."""

import json
import shutil

import keras
import numpy as np
import pandas
import pytest
from small_run import write_run

from attention_keras import build_model
from attention_keras.commands.evaluate import run
from attention_keras.data.datasets import load_dataset
from attention_keras.errors import UserError
from attention_keras.evaluation.options import TASKS, AllOptions
from attention_keras.evaluation.subjects.load import load_subjects
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.serving.export import export_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run directory as training leaves it, with an untrained model."""
    keras.utils.set_random_seed(0)
    names = load_dataset("cluttered_digits", limit=5).class_names
    config = RunConfig(limit=100, width=0.03, name="tiny")
    path = tmp_path_factory.mktemp("runs") / "tiny"
    return write_run(path, build_model("vgg-att2-concat-pc", width=0.03), names, config, test_error=0.9)


def evaluate(model, kind=TASKS["classification"], **options):
    assert run(kind((str(model),), **options)) == 0


def results(path):
    (values,) = json.loads((path / "classification.json").read_text())["values"].values()
    return values


def test_a_run_is_evaluated_on_every_test_image(trained, capsys):
    evaluate(trained, batch_size=7, panels=3)  # 20 images: the last batch has 6
    folder = trained / "evaluation"
    words = "answers.csv .json .csv -2.csv -3.csv -4.csv -confusion.png -reliability.png panels report.html"
    names = {f"classification{word}" if word[0] in ".-" else word for word in words.split()}
    assert {p.name for p in folder.iterdir()} == names
    assert len(list((folder / "panels").iterdir())) == 3
    assert "Do the maps point at the object?" in capsys.readouterr().out
    metrics = results(folder)
    by_class = pandas.read_csv(folder / "classification-4.csv", index_col=0).iloc[:, 1].to_dict()
    assert by_class == {
        k: share for k, share in metrics["per_class_accuracy"].items() if share not in (1, None)
    }
    test = load_dataset("cluttered_digits", limit=100).test()
    assert metrics["images"] == len(test) == 20
    model = keras.models.load_model(trained / "model.keras")
    logits = model(test.images.astype("float32"))["logits"]
    assert metrics["error"] == pytest.approx(np.mean(np.argmax(logits, -1) != test.labels))
    assert set(metrics["localization"]) == {"conv10", "conv13", "evidence"}
    # Another evaluation replaces its own files, and no others.
    for name in ("classification-stale.png", "mine.txt", "panels/mine.png"):
        (folder / name).write_bytes(b"")
    evaluate(trained, limit=3, panels=1)
    assert results(folder)["images"] == 3
    assert {p.name for p in folder.iterdir()} == {*names, "mine.txt"}
    assert sorted(p.name for p in (folder / "panels").iterdir()) == ["00.png", "mine.png"]


def test_a_served_model_is_classified_and_explained_no_further(trained, tmp_path, capsys):
    [exported] = export_run(trained, tmp_path / "exports")
    evaluate(exported.path, AllOptions, limit=5, output=str(tmp_path))
    assert "faithfulness: left out" in capsys.readouterr().out
    assert results(tmp_path)["images"] == 5
    with pytest.raises(UserError, match="good for classification only"):
        evaluate(exported.path, TASKS["faithfulness"], output=str(tmp_path))
    card = exported.path / "assets" / "model_card.json"  # as another version of this package may write it
    card.write_text(json.dumps(json.loads(card.read_text()) | {"config": {"model": {"backbone": "vgg"}}}))
    [subject] = load_subjects([str(exported.path)])
    assert subject.trained is None and subject.predictor.num_classes == 10


def test_what_does_not_fit_is_refused(trained, tmp_path):
    other = shutil.copytree(trained, tmp_path / "other")
    with Run(other).writing(RunConfig(dataset="svhn", width=0.03, name="other")):
        pass
    named, nine = (shutil.copytree(trained, tmp_path / name) for name in ("named", "nine"))
    (named / "labels.txt").write_text("".join(f"sign {number}\n" for number in range(10)))
    (nine / "labels.txt").write_text("".join(f"{number}\n" for number in range(9)))
    build_model("vgg", num_classes=7, width=0.03).save(tmp_path / "seven.keras")
    build_model("vgg", (48, 48, 3), width=0.03).save(tmp_path / "large.keras")
    digits, before = {"dataset": "cluttered_digits"}, sorted(tmp_path.rglob("*"))
    for runs, options, said in (
        ([trained, trained], {}, "given twice"),
        ([trained, other], {}, "trained on cluttered_digits and svhn; evaluate them one by one"),
        ([named], {}, "answers with classes such as 'sign 0'"),
        ([nine], {}, "has 9 names, and its model tells 10 classes apart"),
        ([tmp_path / "seven.keras"], digits, "7 classes apart and cluttered_digits has 10"),
        ([tmp_path / "large.keras"], digits, "takes images of"),
        ([trained], {"queries": "nowhere"}, "queries: there is no folder nowhere"),
    ):
        with pytest.raises(UserError, match=said):
            run(AllOptions(tuple(map(str, runs)), **options))
    assert sorted(tmp_path.rglob("*")) == before
