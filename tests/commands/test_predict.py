"""`attention-keras predict`: files of every kind to rows and pictures, equal to the model's own answers."""

import csv
import io
import json
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas
import pytest
from PIL import Image
from scipy.special import softmax

from attention_keras import build_model
from attention_keras.commands.command_line import exit_code
from attention_keras.commands.main import main
from attention_keras.evaluation.predictions.answers import predict_files
from attention_keras.evaluation.subjects.predictor import KerasPredictor


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model.keras"
    keras.utils.set_random_seed(0)
    network = build_model("vgg-att2-concat-dp", num_classes=3, width=0.03, init="keras")
    network.save(path)
    return network, path


@pytest.fixture
def loaded(model, monkeypatch):
    """The model is loaded and compiled once."""
    predictor = KerasPredictor(model[0])
    monkeypatch.setattr("attention_keras.evaluation.subjects.load.load_predictor", lambda path: predictor)


@pytest.fixture
def folder(tmp_path):
    """Five pictures in three kinds, one broken, and files that are none."""
    place = tmp_path / "new"
    (place / "deep").mkdir(parents=True)
    draw(place, "a.png", "b.png", "deep/a.png", "deep/Ünï 1.jpg", "c.bmp")
    for name in ("broken.jpg", "notes.txt", "._a.png"):
        (place / name).write_bytes(b"no picture")
    return place


def draw(place, *names):
    rng = np.random.default_rng(0)
    for name in names:
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype="uint8")).save(place / name)


def predict(*words):
    return exit_code(lambda: main(["predict", *map(str, words)]))


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file) if path.suffix == ".csv" else map(json.loads, file))


def test_rows_are_the_models_answers(model, folder, capsys):
    """The same twice: drawings of its own, in the folder that is read, are no images."""
    network, path = model
    for _ in range(2):
        (folder / "predictions.jsonl").unlink(missing_ok=True)
        assert predict(path, folder, "--output", folder, "--batch-size", "2") == 0
        said = capsys.readouterr()
        assert "passed over: " in said.out and "1 .txt" in said.out
        assert said.err.splitlines()[-1] == "warning: 1 files could not be read; their rows say why"
        rows = rows_of(folder / "predictions.csv")
        names = [row["path"].removeprefix(f"{folder}/") for row in rows]
        assert names == ["a.png", "b.png", "broken.jpg", "c.bmp", "deep/a.png", "deep/Ünï 1.jpg"]
        broken = rows.pop(2)
        assert broken["reason"] == "not an image" and broken["class"] == broken["probability_3"] == ""
        for row in rows:
            pixels = np.asarray(Image.open(row["path"]), "float32")
            expected = softmax(np.asarray(network(pixels[None])["logits"])[0])
            assert row["class"] == str(expected.argmax()) and row["reason"] == ""
            found = [float(row[name]) for name in ("probability", "probability_2", "probability_3")]
            np.testing.assert_allclose(found, sorted(expected)[::-1], atol=1e-4)  # batches of two, and of one
        drawn = sorted(f"pictures/{file.name}" for file in (folder / "pictures").iterdir())
        assert sorted(row["drawing"] for row in rows) == drawn and len(drawn) == 5


def test_odd_files_are_rows(loaded, model, tmp_path, capsys):
    new, long = tmp_path / "new", "x" * 251 + ".png"
    (new / "other").mkdir(parents=True)
    for file in (new / long, new / "other" / long):
        Image.new("RGB", (32, 32)).save(file)
    os.mkfifo(new / "x.jpg")
    Image.new("1", (10_001, 10_000)).save(tmp_path / "y.png")
    assert predict(model[1], new, new / "x.jpg", tmp_path / "y.png", "--output", tmp_path / "out") == 0
    reasons = [row["reason"] for row in rows_of(tmp_path / "out" / "predictions.csv")]
    assert reasons[:3] == ["", "", "not a regular file"] and "over 100 megapixels" in reasons[3]
    assert len(list((tmp_path / "out" / "pictures").iterdir())) == 2
    assert predict(model[1], new, "--output", tmp_path / "y.png") == 2
    assert "cannot write to" in capsys.readouterr().err


def test_numbers_of_maps_parquet_and_a_list_from_stdin(loaded, model, folder, tmp_path, monkeypatch):
    network, path = model
    listed = f"{folder / 'a.png'}\n{folder / 'broken.jpg'}\n{folder / 'c.bmp'}\n".encode()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(listed)))
    words = [path, "-", "--output", tmp_path / "out", "--maps", "npz", "--no-pictures"]
    assert predict(*words, "--format", "parquet") == 0
    table = pandas.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert [Path(name).name for name in table["path"]] == ["a.png", "broken.jpg", "c.bmp"]
    assert table["probability"].dtype == "float64" and table["maps"].isna().tolist() == [False, True, False]
    pixels = np.asarray(Image.open(folder / "a.png"), "float32")[None]
    outputs = {name: np.asarray(value)[0] for name, value in network(pixels).items()}
    probabilities = softmax(outputs["logits"])
    assert table["probability"][0] == pytest.approx(probabilities.max(), abs=1e-6)
    with np.load(tmp_path / "out" / table["maps"][0]) as maps:
        np.testing.assert_allclose(maps["probabilities"], probabilities, atol=1e-6)
        np.testing.assert_allclose(maps["attention_conv13"], outputs["attention_conv13"], atol=1e-6)
        total = maps["evidence"].sum() + maps["evidence_rest"]
        assert total == pytest.approx(outputs["logits"].max() - outputs["logits"].mean(), rel=1e-6)
        parts = maps["evidence_conv10"].sum() + maps["evidence_conv13"].sum()
        assert maps["evidence"].shape == (32, 32) and parts == pytest.approx(maps["evidence"].sum(), abs=1e-5)


def test_the_same_command_goes_on_where_it_stopped(loaded, model, folder, tmp_path, monkeypatch, capsys):
    """After Ctrl-C, a full disk, and a row that a kill cut; names of two lines stay whole."""
    (folder / "b.png").rename(folder / 'b "1",\n2.png')
    words = [model[1], folder, "--batch-size", "2"]
    assert predict(*words, "--output", tmp_path / "whole") == 0
    whole, file = (tmp_path / name / "predictions.jsonl" for name in ("whole", "out"))
    here, asked = [*words, "--output", tmp_path / "out"], []
    for stop, code in ((KeyboardInterrupt, 130), (OSError(28, "No space left"), 2)):

        def answers(predictor, files, stop=stop, **options):
            asked.append(len(files))
            yield from predict_files(predictor, files[:2], **options)
            raise stop

        with monkeypatch.context() as patch:
            patch.setattr("attention_keras.evaluation.predictions.answers.predict_files", answers)
            assert predict(*here) == code
    assert asked == [6, 4] and len(rows_of(file)) == 4
    file.write_bytes(file.read_bytes()[:-5])
    for said in ("5 images", "5 images", "all answered before"):
        assert predict(*here) == 0 and said in capsys.readouterr().out
        assert rows_of(file.with_suffix(".csv")) == rows_of(whole.with_suffix(".csv"))
    assert predict(*here, "--top", "1") == 2
    assert "out has the answers to another command" in capsys.readouterr().err


def test_the_shards_of_a_list_have_the_rows_of_one_process(loaded, model, folder, tmp_path):
    """And one page shows the answers of all of them."""
    (folder / "b.png").rename(folder / "<script>b.png")
    (tmp_path / "list.txt").write_text(f"{folder}/*.png\n{folder}/broken.jpg\n{folder}/deep")
    words = [model[1], f"@{tmp_path / 'list.txt'}", "--format", "jsonl", "--top", "2", "--output"]
    predict(*words, tmp_path / "whole", "--no-pictures")
    out = tmp_path / "out"
    for number in (1, 2, 3):
        predict(*words, out, "--shard", f"{number}/3", "--overview")
    whole = {row["path"]: row for row in rows_of(tmp_path / "whole" / "predictions.jsonl")}
    parts = [rows_of(out / f"predictions-{number}-of-3.jsonl") for number in (1, 2, 3)]
    rows = {row["path"]: row for part in parts for row in part}
    assert rows.keys() == whole.keys() and len(rows) == 5 == sum(map(len, parts)) > max(map(len, parts))
    page = (out / "index.html").read_text()
    assert page.count("<script") == 2 and "src=" not in page.replace(".src =", "")
    start = page.index(">", page.index("application/json")) + 1
    shown = {path: said for path, *said in json.loads(page[start : page.index("</script>", start)])}
    assert shown.keys() == rows.keys()
    for path, row in rows.items():
        name, probability, drawing, _ = shown[path]
        assert name == row["class"] == whole[path]["class"] and drawing == row["drawing"]
        if not path.endswith("broken.jpg"):
            assert row["probability"] == pytest.approx(whole[path]["probability"], abs=1e-5) == probability
            assert len(row["top"]) == 2 and (out / drawing).exists()


@pytest.mark.slow
def test_killed_twenty_times_it_loses_and_doubles_nothing(model, tmp_path):
    """The process that is stopped is a fork of one that has imported everything."""
    rng, out, stops = np.random.default_rng(1), tmp_path / "out", (signal.SIGKILL, signal.SIGTERM)
    (tmp_path / "new").mkdir()
    names = sorted(f"{number}.png" for number in range(900))
    draw(tmp_path / "new", *names)
    words = [str(model[1]), str(tmp_path / "new"), "--batch-size", "4", "--output", str(out), "--maps", "npz"]
    here = multiprocessing.get_context("forkserver")
    modules = ("commands.predict", "evaluation.predictions.record")
    here.set_forkserver_preload([f"attention_keras.{name}" for name in modules])
    record = out / "predictions.jsonl"

    def written():
        return record.stat().st_size if record.exists() else 0

    for kill in range(20):
        size = written()
        process = here.Process(target=main, args=(["predict", *words],))
        process.start()
        while process.exitcode is None and written() == size:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.3))
        assert process.exitcode is None, "it was stopped too late"
        os.kill(process.pid, stops[kill % 2])
        process.join(60)
        assert process.exitcode != 0 and written() > size
    assert predict(*words) == 0
    rows = rows_of(record)
    assert len(rows_of(record.with_suffix(".csv"))) == 900
    assert sorted(Path(row["path"]).name for row in rows) == names
    for folder, key in (("pictures", "drawing"), ("maps", "maps")):
        files = {f"{folder}/{file.name}" for file in (out / folder).iterdir()}
        assert {row[key] for row in rows} == {name for name in files if not name.endswith(".tmp")}
    for row in rows:
        Image.open(out / row["drawing"]).load()
        np.load(out / row["maps"]).close()
