"""A model on a server, asked by REST: the answers of the model on disk, and failures in one line."""

import csv
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attention_keras.commands.command_line import exit_code
from attention_keras.commands.predict import main
from attention_keras.errors import UserError
from attention_keras.serving import served_model
from attention_keras.serving.served_model import RemoteModel


def predict(*words):
    return exit_code(lambda: main([str(word) for word in words], "attention-keras predict"))


def test_a_run_and_a_server_give_the_same_answers(server, run_path, images, tmp_path):
    """More files than go into one request, of another shape than the model's images, and one broken."""
    folder = tmp_path / "new"
    folder.mkdir()
    for number in range(9):
        image = Image.fromarray(np.roll(images[number % 3], number, 0)).resize((50, 40))
        image.save(folder / f"{number}.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    tables = []
    for name, words in (("run", [run_path]), ("url", ["--url", server.url])):
        assert predict(*words, folder, "--output", tmp_path / name) == 0
        with (tmp_path / name / "predictions.csv").open(newline="") as file:
            tables.append(list(csv.DictReader(file)))
    for ours, theirs in zip(*tables, strict=True):
        for column, value in ours.items():
            if column.startswith("probability") and value:
                assert float(theirs[column]) == pytest.approx(float(value), abs=1e-5)
            else:
                assert theirs[column] == value
    drawn = sorted(path.name for path in (tmp_path / "url" / "pictures").iterdir())
    assert drawn == sorted(Path(row["drawing"]).name for row in tables[0] if not row["reason"])
    for name in drawn:
        files = (tmp_path / kind / "pictures" / name for kind in ("run", "url"))
        ours, theirs = (np.asarray(Image.open(file)).astype(int) for file in files)
        assert (np.abs(ours - theirs).max(-1) > 8).mean() < 1e-3  # a value can fall to either of two colours


def test_evidence_versions_and_labels(server, served, images, expected, monkeypatch):
    asked = np.array([2, 0, 1], "int32")
    wanted = served["explain_class"](images=images, classes=asked)["evidence"]
    np.testing.assert_allclose(RemoteModel(server.url).explain(images, asked).total, wanted, atol=1e-5)
    for chosen in ("", "/versions/1", "/labels/stable", "/"):
        found = RemoteModel(server.url + chosen).predict(images)
        np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-5)
    for wrong in ("x", "/versions/7", "/labels/canary"):
        with pytest.raises(UserError, match="refused the request: Servable not found"):
            RemoteModel(server.url + wrong)
    # An export that does not describe itself has numbers for names.
    signatures = server.metadata["metadata"]["signature_def"]["signature_def"]
    monkeypatch.delitem(signatures, "describe")
    monkeypatch.delitem(signatures, "explain_class")
    model = RemoteModel(server.url)
    assert (model.class_names, model.num_classes, model.image_shape) == (None, 3, (32, 32, 3))
    assert model.explain(np.zeros((1, 32, 32, 3), "uint8"), [0]).total is None


def test_a_busy_server_is_asked_again_and_a_slow_one_is_not(server):
    server.busy, server.requests = 1, 0
    RemoteModel(server.url)
    assert server.requests == 3  # metadata twice, and the names
    server.requests, server.release = 0, threading.Event()
    with pytest.raises(UserError, match=r"gave no answer .*0\.3"):
        RemoteModel(server.url, timeout=0.3)
    assert server.requests == 1
    server.release.set()
    server.release = None


def test_what_is_no_server_or_no_model_is_refused(server, monkeypatch):
    monkeypatch.setattr(served_model, "RETRIES", 0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        for url, said in (
            (f"http://127.0.0.1:{free.getsockname()[1]}/v1/models/demo", "is a server running there"),
            ("http://localhost:8501", "is no URL of a model; type http://HOST:8501/v1/models/NAME"),
            (f"http://{server.grpc_address}/v1/models/demo", "."),  # it speaks gRPC
        ):
            with pytest.raises(UserError, match=said):
                RemoteModel(url)
    for said in ({}, [], {"metadata": {"signature_def": 1}}):
        monkeypatch.setattr(RemoteModel, "_request", lambda *unused, said=said: said)
        with pytest.raises(UserError, match="describes no model of attention_keras"):
            RemoteModel(server.url)
