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
    rng = np.random.default_rng(0)
    place = tmp_path / "new"
    for name in ("a.png", "b.png", "deep/a.png", "deep/Ünï 1.jpg", "c.bmp"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype="uint8")).save(place / name)
    (place / "broken.jpg").write_bytes(b"no picture")
    (place / "notes.txt").write_text("no picture")
    (place / "._a.png").write_bytes(b"a copy that macOS makes")
    (place / "__MACOSX").mkdir()
    (place / "__MACOSX" / "a.png").write_bytes(b"another")
    return place


def predict(*words):
    return exit_code(lambda: main(["predict", *map(str, words)]))


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file) if path.suffix == ".csv" else map(json.loads, file))


def answers_of(path):
    return [(row["path"], row["class"], row["drawing"], row["reason"]) for row in rows_of(path)]


def test_rows_are_the_models_answers(model, folder, tmp_path, capsys):
    network, path = model
    assert predict(path, folder, "--output", tmp_path / "out", "--batch-size", "2") == 0
    said = capsys.readouterr()
    assert "passed over: " in said.out and "1 .txt" in said.out and "1 hidden" in said.out
    assert said.err.splitlines()[-1] == "warning: 1 files could not be read; their rows say why"
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    names = [row["path"].removeprefix(f"{folder}/") for row in rows]
    assert names == ["a.png", "b.png", "broken.jpg", "c.bmp", "deep/a.png", "deep/Ünï 1.jpg"]
    for row in rows:
        if row["path"].endswith("broken.jpg"):
            assert row["reason"] == "not an image" and row["class"] == row["probability_3"] == ""
            continue
        pixels = np.asarray(Image.open(row["path"]), "float32")
        expected = softmax(np.asarray(network(pixels[None])["logits"])[0])
        assert row["class"] == str(expected.argmax()) and row["reason"] == ""
        found = [float(row[name]) for name in ("probability", "probability_2", "probability_3")]
        np.testing.assert_allclose(found, sorted(expected)[::-1], atol=1e-5)
    drawings = [row["drawing"] for row in rows if row["drawing"]]
    pictures = [file.name for file in (tmp_path / "out" / "pictures").iterdir()]
    assert sorted(drawings) == sorted(f"pictures/{name}" for name in pictures)
    assert sorted(name.rpartition("-")[0] for name in pictures) == ["a", "a", "b", "c", "Ünï 1"]


@pytest.mark.parametrize("output", [".", "new"])
def test_the_same_command_again_gives_the_same_rows(model, folder, tmp_path, monkeypatch, capsys, output):
    monkeypatch.chdir(tmp_path)
    (folder / "broken.jpg").unlink()
    for times in range(2):
        assert predict(model[1], ".", "--output", output) == 0
        rows = rows_of(tmp_path / output / "predictions.csv")
        assert sorted(row["path"] for row in rows) == sorted(
            f"new/{name}" for name in ("a.png", "b.png", "c.bmp", "deep/a.png", "deep/Ünï 1.jpg")
        )
        said = (
            f"5 in {tmp_path.joinpath(output).relative_to(tmp_path) / 'pictures'}, where this command draws"
        )
        assert (said in capsys.readouterr().out) == (times > 0)
        assert len(list((tmp_path / output / "pictures").iterdir())) == 5


def test_a_folder_with_long_names_and_a_fifo_is_answered(model, tmp_path, capsys):
    (tmp_path / "new" / "other").mkdir(parents=True)
    long = "x" * 251 + ".png"
    for file in (tmp_path / "new" / long, tmp_path / "new" / "other" / long):
        Image.new("RGB", (32, 32)).save(file)
    os.mkfifo(tmp_path / "new" / "x.jpg")
    assert predict(model[1], tmp_path / "new", tmp_path / "new" / "x.jpg", "--output", tmp_path / "out") == 0
    assert "passed over: 1 no regular files" in capsys.readouterr().out
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert [row["reason"] for row in rows] == ["", "", "not a regular file"]
    assert len(list((tmp_path / "out" / "pictures").iterdir())) == 2


def test_a_picture_over_the_limit_is_a_row_with_the_reason(model, tmp_path):
    Image.new("1", (10_001, 10_000)).save(tmp_path / "large.png")
    assert predict(model[1], tmp_path, "--output", tmp_path / "out", "--no-pictures") == 1
    [row] = rows_of(tmp_path / "out" / "predictions.csv")
    assert row["reason"].startswith("10001x10000 is over 100 megapixels") and not row["class"]


def test_json_lines_patterns_and_no_pictures(loaded, model, folder, tmp_path):
    words = [model[1], folder / "*.png", folder / "broken.jpg", "--output", tmp_path / "out"]
    assert predict(*words, "--format", "jsonl", "--top", "2", "--no-pictures") == 0
    rows = rows_of(tmp_path / "out" / "predictions.jsonl")
    assert [len(row["top"]) for row in rows] == [2, 2, 0]
    assert rows[0]["class"] == rows[0]["top"][0]["class"] and rows[0]["probability"] > 1 / 3
    assert rows[2]["class"] is None and rows[2]["reason"] == "not an image"
    names = {path.name for path in (tmp_path / "out").iterdir()} - {".predictions.jsonl.lock"}
    assert names == {"predictions.jsonl", "predictions.settings.json"}


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


def test_one_page_shows_the_drawings_of_all_shards(loaded, model, folder, tmp_path, capsys):
    (folder / "b.png").rename(folder / "<script>b.png")
    for shard in ("1/2", "2/2"):
        predict(model[1], folder, "--output", tmp_path / "out", "--shard", shard, "--overview")
    assert f"overview in {tmp_path / 'out' / 'index.html'}" in capsys.readouterr().out
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<script") == 2 and "src=" not in page.replace(".src =", "")
    start = page.index(">", page.index("application/json")) + 1
    rows = json.loads(page[start : page.index("</script>", start)])
    assert len(rows) == 6
    for path, name, probability, drawing, reason in rows:
        if path.endswith("broken.jpg"):
            assert (name, probability, drawing, reason) == (None, 0, None, "not an image")
        else:
            assert name in "012" and 1 / 3 < probability <= 1 and (tmp_path / "out" / drawing).exists()


def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for words, complaint in (
        ([], "no image was given"),
        (["missing.png"], "there is no file or folder missing.png"),
        (["empty"], "no images in empty; endings that are read: ."),
        (["empty", "--top", "0"], "--top must be 1 or more; got 0"),
        (["empty", "--overview", "--no-pictures"], "--overview shows drawings; leave out --no-pictures"),
        (["empty", "--shard", "4/3"], "--shard must be 1/16 to 16/16, or the like; got 4/3"),
    ):
        assert predict("model.keras", *words) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"error: {complaint}") and said.count("\n") == 1


def test_the_same_command_goes_on_where_it_stopped(loaded, model, folder, tmp_path, monkeypatch, capsys):
    """After Ctrl-C, a full disk, and a row that a kill cut; names of two lines stay whole."""
    (folder / "b.png").rename(folder / 'b "1",\n2.png')
    words = [model[1], folder, "--batch-size", "2"]
    assert predict(*words, "--output", tmp_path / "whole") == 0
    whole, file = (tmp_path / name / "predictions.jsonl" for name in ("whole", "out"))
    asked = []

    def stopped_by(error):
        def answers(predictor, files, **options):
            asked.append(len(files))
            yield from predict_files(predictor, files[:2], **options)
            raise error

        return answers

    here = [*words, "--output", tmp_path / "out"]
    for error, code in ((KeyboardInterrupt, 130), (OSError(28, "No space left"), 2)):
        with monkeypatch.context() as patch:
            patch.setattr("attention_keras.evaluation.predictions.answers.predict_files", stopped_by(error))
            assert predict(*here) == code
    assert answers_of(file) == answers_of(whole)[:4]
    file.write_bytes(file.read_bytes()[:-5])
    for said in ("5 images", "5 images", "all answered before"):
        assert predict(*here) == 0 and said in capsys.readouterr().out
        assert answers_of(file) == answers_of(whole)
        assert rows_of(file.with_suffix(".csv")) == rows_of(whole.with_suffix(".csv"))
    assert asked == [6, 4]
    assert predict(*here, "--top", "1") == 2
    assert "out has the answers to another command" in capsys.readouterr().err
    (tmp_path / "out" / "predictions.settings.json").unlink()
    assert predict(*here) == 2, "a table of another program is not written to"


def test_the_shards_of_a_list_have_the_rows_of_one_process(loaded, model, folder, tmp_path):
    files = [str(folder / name) for name in ("a.png", "b.png", "c.bmp", "deep/a.png")]
    (tmp_path / "list.txt").write_text("\n".join(files))
    words = [model[1], f"@{tmp_path / 'list.txt'}", "--output", tmp_path / "out", "--no-pictures"]
    for shard in ([], *(["--shard", f"{number}/3"] for number in (1, 2, 3))):
        assert predict(*words, *shard) == 0
    parts = [rows_of(tmp_path / "out" / f"predictions-{number}-of-3.csv") for number in (1, 2, 3)]
    rows = sorted((row for part in parts for row in part), key=lambda row: row["path"])
    assert [row["path"] for row in rows] == files
    for row, other in zip(rows, rows_of(tmp_path / "out" / "predictions.csv"), strict=True):
        assert row["class"] == other["class"]
        assert float(row["probability"]) == pytest.approx(float(other["probability"]), abs=1e-5)


@pytest.mark.slow
def test_killed_twenty_times_it_loses_and_doubles_nothing(model, tmp_path):
    """The process that is killed is a fork of one that has imported everything."""
    rng = np.random.default_rng(1)
    (tmp_path / "new").mkdir()
    names = sorted(f"{number}.png" for number in range(900))
    for name in names:
        pixels = rng.integers(0, 256, (32, 32, 3), dtype="uint8")
        Image.fromarray(pixels).save(tmp_path / "new" / name)
    words = [str(model[1]), str(tmp_path / "new"), "--batch-size", "4", "--output", str(tmp_path / "out")]
    words += ["--overview", "--maps", "npz"]
    here = multiprocessing.get_context("forkserver")
    here.set_forkserver_preload(
        ["attention_keras.commands.predict", "attention_keras.evaluation.predictions.write"]
    )
    record, kills = tmp_path / "out" / "predictions.jsonl", 0

    def written():
        return record.stat().st_size if record.exists() else 0

    while kills < 20:
        size = written()
        process = here.Process(target=main, args=(["predict", *words],))
        process.start()
        while process.exitcode is None and written() == size:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.3))
        assert process.exitcode is None, "it was stopped too late"
        os.kill(process.pid, (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[kills % 3])
        process.join(60)
        assert process.exitcode != 0 and written() > size
        kills += 1
    assert predict(*words) == 0
    rows = rows_of(record)
    assert len(rows) == 900 and sorted(Path(row["path"]).name for row in rows) == names
    assert len(rows_of(record.with_suffix(".csv"))) == 900
    for folder, key in (("pictures", "drawing"), ("maps", "maps")):
        files = {f"{folder}/{file.name}" for file in (tmp_path / "out" / folder).iterdir()}
        assert {row[key] for row in rows} == {name for name in files if not name.endswith(".tmp")}
    for row in rows:
        Image.open(tmp_path / "out" / row["drawing"]).load()
        np.load(tmp_path / "out" / row["maps"]).close()


def test_a_folder_that_cannot_be_written_is_one_line(model, folder, tmp_path, capsys):
    (tmp_path / "out").write_text("a file in the way")
    assert predict(model[1], folder / "a.png", "--output", tmp_path / "out") == 2
    assert "cannot write to" in capsys.readouterr().err
