"""A model on a server, asked by REST: the answers of the model on disk, and failures in one line."""

import csv
import json
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_run import NAMES

from attention_keras.commands.command_line import exit_code
from attention_keras.commands.predict import main
from attention_keras.errors import UserError
from attention_keras.serving import remote
from attention_keras.serving.remote import RemoteModel


@pytest.fixture
def folder(images, tmp_path):
    """More files than go into one request, of another shape than the model's images, and one broken."""
    place = tmp_path / "new"
    place.mkdir()
    for number in range(9):
        Image.fromarray(np.roll(images[number % 3], number, 0)).resize((50, 40)).save(place / f"{number}.png")
    (place / "broken.jpg").write_bytes(b"no image")
    return place


def predict(*words):
    return exit_code(lambda: main([str(word) for word in words], "attention-keras predict"))


def test_the_table_and_the_drawings_are_those_of_the_run(server, run_path, folder, tmp_path, capsys):
    assert predict(run_path, folder, "--output", tmp_path / "run") == 0
    assert predict("--url", server.url, folder, "--output", tmp_path / "url") == 0
    tables = []
    for name in ("run", "url"):
        with (tmp_path / name / "predictions.csv").open(newline="") as file:
            tables.append(list(csv.DictReader(file)))
    for ours, theirs in zip(*tables, strict=True):
        for column, value in ours.items():
            if column.startswith("probability") and value:
                assert float(theirs[column]) == pytest.approx(float(value), abs=1e-5)
            else:
                assert theirs[column] == value
    assert {row["class"] for row in tables[1]} <= {*NAMES, ""}
    drawn = sorted(path.name for path in (tmp_path / "url" / "pictures").iterdir())
    assert drawn == sorted(Path(row["drawing"]).name for row in tables[0] if not row["reason"])
    for name in drawn:
        ours, theirs = (
            np.asarray(Image.open(tmp_path / kind / "pictures" / name)) for kind in ("run", "url")
        )
        # A value between two colours of the map can fall to either; a digit of a label, too.
        assert ours.shape == theirs.shape and (np.abs(ours.astype(int) - theirs).max(-1) > 8).mean() < 1e-3


def test_a_served_file_is_answered_as_predict_answers_it(served, run_path, folder, tmp_path):
    words = [run_path, folder, "--no-pictures", "--format", "jsonl", "--output", tmp_path / "out"]
    assert predict(*words) == 0
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    answers = served["serve_bytes"](image_bytes=[Path(row["path"]).read_bytes() for row in rows])
    assert answers["valid"].tolist() == [row["class"] is not None for row in rows] != [True] * len(rows)
    for row, probabilities in zip(rows, answers["probabilities"]):
        if row["class"]:
            assert row["class"] == NAMES[probabilities.argmax()]
            assert row["probability"] == pytest.approx(probabilities.max(), abs=2e-3)


def test_evidence_for_any_class(server, served, images):
    asked = np.array([2, 0, 1], "int32")
    wanted = served["explain_class"](images=images, classes=asked)["evidence"]
    np.testing.assert_allclose(RemoteModel(server.url).explain(images, asked).total, wanted, atol=1e-5)


def test_a_version_and_a_label_may_follow(server, images, expected):
    for chosen in ("", "/versions/1", "/labels/stable", "/"):
        found = RemoteModel(server.url + chosen).predict(images)
        np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-5)
    for wrong in ("x", "/versions/7", "/labels/canary"):
        with pytest.raises(UserError, match="refused the request: Servable not found"):
            RemoteModel(server.url + wrong)


def test_an_export_that_does_not_describe_itself_has_numbers_for_names(server, monkeypatch):
    signatures = server.metadata["metadata"]["signature_def"]["signature_def"]
    monkeypatch.delitem(signatures, "describe")
    monkeypatch.delitem(signatures, "explain_class")
    model = RemoteModel(server.url)
    assert (model.class_names, model.num_classes, model.image_shape) == (None, 3, (32, 32, 3))
    assert model.explain(np.zeros((1, 32, 32, 3), "uint8"), [0]).total is None


def test_a_busy_server_is_asked_again_and_a_slow_one_is_not(server, monkeypatch):
    server.busy, server.requests = 1, 0
    RemoteModel(server.url)
    assert server.requests == 3  # metadata twice, and the names
    monkeypatch.setattr(remote, "RETRIES", 1)
    server.busy = 5
    with pytest.raises(UserError, match="cannot be reached"):
        RemoteModel(server.url)
    server.busy, server.requests, server.release = 0, 0, threading.Event()
    with pytest.raises(UserError, match=r"gave no answer within 0\.3 s"):
        RemoteModel(server.url, timeout=0.3)
    assert server.requests == 1
    server.release.set()
    server.release = None


def test_mistakes_are_one_line(server, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(remote, "RETRIES", 0)
    monkeypatch.chdir(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/v1/models/demo"
        for url, said in (
            (nobody, f"{nobody} cannot be reached"),
            ("localhost:8501", "is no URL of a model; type http://HOST:8501/v1/models/NAME"),
            ("http://localhost:8501", "is no URL of a model"),
            (f"http://{server.grpc_address}/v1/models/demo", ""),
        ):
            assert predict("--url", url, folder) == 2, url
            error = capsys.readouterr().err
            assert error.startswith("error: ") and said in error and error.count("\n") == 1
    for said in ({}, [], {"metadata": {"signature_def": 1}}):
        monkeypatch.setattr(RemoteModel, "_request", lambda *unused, said=said: said)
        with pytest.raises(UserError, match="describes no model of attention_keras"):
            RemoteModel(server.url)
