"""The client asks why: evidence by REST and gRPC, drawn around zero, for any class."""

import re

import keras
import numpy as np
import pytest
from PIL import Image
from stand_in_server import StandInServer

from attention_keras import attend, build_model
from attention_keras.drawing.maps import signed_overlay
from attention_keras.errors import UserError
from attention_keras.models.evidence import combine_evidence, evidence_model
from attention_keras.models.outputs import evidence_maps
from attention_keras.serving.client import read_picture
from attention_keras.serving.connection import Connection
from attention_keras.serving.explanations import class_number, explain
from attention_keras.serving.export import export_model

NAMES = ["zero", "one", "two"]


@pytest.fixture(scope="module")
def server(exported):
    with StandInServer(exported) as running:
        yield running


@pytest.fixture(scope="module")
def wanted(model, images):
    """Probabilities' order, and evidence of all levels at image size `(b, H, W, k)` with its rest."""
    outputs = evidence_model(model).predict(images.astype("float32"), verbose=0)
    maps = evidence_maps(outputs)
    levels = {f"evidence_{tap}": np.asarray(combine_evidence({tap: m}, (32, 32))) for tap, m in maps.items()}
    return (
        outputs["logits"].argmax(-1),
        {"evidence": sum(levels.values()), **levels},
        outputs["evidence_rest"],
    )


@pytest.mark.parametrize("kind", ["rest_url", "grpc_url"])
@pytest.mark.parametrize("asked", [None, 0, 2])
def test_numbers_are_those_of_the_keras_model(server, kind, asked, pictures, expected, wanted):
    served = Connection(getattr(server, kind))
    predicted, levels, rest = wanted
    found = list(explain(served, [read_picture(path) for path in pictures], asked))
    for row, explanation in enumerate(found):
        number = predicted[row] if asked is None else asked
        assert explanation.number == number
        np.testing.assert_allclose(
            explanation.answer.probabilities, expected["probabilities"][row], atol=1e-5
        )
        assert list(explanation.answer.maps) == ([] if asked is not None else ["conv10", "conv13"])
        assert list(explanation.evidence) == ["evidence", "evidence_conv10", "evidence_conv13"]
        for name, level in explanation.evidence.items():
            np.testing.assert_allclose(level, levels[name][row, ..., number], atol=1e-6)
        assert explanation.rest == pytest.approx(rest[row, number], abs=1e-5)


@pytest.mark.parametrize("kind", ["rest_url", "grpc_url"])
def test_what_a_signature_takes(server, kind):
    connection = Connection(getattr(server, kind))
    assert connection.image_shape("explain_class") == connection.image_shape("explain") == (32, 32, 3)
    assert connection.image_shape("serve_bytes") is None and connection.image_shape("predict") is None
    with pytest.raises(UserError, match="refused the request: Servable not found"):
        Connection(getattr(server, kind).replace("demo", "none")).image_shape("explain")


@pytest.mark.parametrize("said", [{}, [], {"metadata": {"signature_def": 1}}])
def test_a_server_that_describes_nothing(server, said, monkeypatch):
    connection = Connection(server.rest_url)
    monkeypatch.setattr(connection._transport, "_request", lambda *unused: said)
    with pytest.raises(UserError, match="is no TF Serving: it does not describe the model"):
        connection.image_shape("explain")


def test_the_predicted_class_on_the_command_line(server, client, pictures, exported, wanted, capsys):
    words = [*pictures, "--url", server.rest_url, "--labels", exported, "--signature", "explain"]
    assert client(*words) == 0
    lines = capsys.readouterr().out.splitlines()
    names = ["conv10", "conv13", "evidence", "evidence_conv10", "evidence_conv13"]
    assert [line for line in lines if "red_" in line] == [f"  attention/red_{name}.png" for name in names]
    predicted, levels, rest = wanted
    number = predicted[0]
    said = next(line for line in lines if line.startswith("  evidence for"))
    pattern = (
        r"  evidence for (\w+): (\S+) in the picture, (\S+) beside it; colours from (\S+) to (\S+) a pixel"
    )
    name, *numbers = re.fullmatch(pattern, said).groups()
    assert name == NAMES[number]
    maps = {key: level[0, ..., number] for key, level in levels.items()}
    limit = max(np.abs(level).max() for level in maps.values())
    values = [maps["evidence"].sum(), rest[0, number], -limit, limit]
    assert [float(value) for value in numbers] == pytest.approx(values, rel=0.06)  # two digits
    pixels = read_picture(pictures[0]).pixels
    for key, level in maps.items():
        drawn = np.asarray(Image.open(f"attention/red_{key}.png")).astype(int)
        assert np.abs(drawn - signed_overlay(pixels, level, limit)).max() <= 4


def test_a_class_by_name_or_number(server, client, pictures, exported, capsys):
    drawn = {}
    for asked, words in (("one", ["--labels", exported]), ("1", []), ("2", ["--labels", exported])):
        assert client(pictures[0], "--url", server.grpc_url, "--evidence-for", asked, *words) == 0
        drawn[asked] = np.asarray(Image.open("attention/red_evidence.png"))
        said = capsys.readouterr().out
        assert f"evidence for {'class 1' if asked == '1' else NAMES[{'one': 1, '2': 2}[asked]]}: " in said
        assert "red_conv10" not in said  # explain_class has no attention
    np.testing.assert_array_equal(drawn["one"], drawn["1"])
    assert (drawn["one"] != drawn["2"]).any()


def test_classes_that_are_not_there(server, client, pictures, exported, tmp_path, capsys):
    url, labels = ["--url", server.rest_url], ["--labels", exported]
    server.requests = 0
    for words, said in (
        ([*labels, "--evidence-for", "tow"], "there is no class 'tow'; perhaps you meant two"),
        ([*labels, "--evidence-for", "3"], "the model has classes 0 to 2; got 3"),
        (["--evidence-for", "cat"], "class 'cat' is no number; names need --labels"),
        (["--evidence-for", "-1"], "no number"),
    ):
        assert client(pictures[0], *url, *words) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert server.requests == 0
    assert client(pictures[0], *url, "--evidence-for", "3") == 2
    assert "the model has classes 0 to 2; got 3" in capsys.readouterr().err
    with pytest.raises(UserError, match="classes 0, 2 are called crane; give the number"):
        class_number("crane", ["crane", "cat", "crane"])
    assert class_number("1", ["7", "1", "3"]) == 1 and class_number("2", ["7", "1", "3"]) == 2


def test_a_network_without_evidence_says_so(client, pictures, tmp_path, capsys):
    model = build_model("vgg", num_classes=3, width=0.05)
    version = export_model(model, tmp_path / "vgg", class_names=NAMES, card={})
    with StandInServer(version) as server:
        assert client(pictures[0], "--url", server.rest_url, "--signature", "explain") == 0
        assert "  the network has no evidence" in capsys.readouterr().out
        assert client(pictures[0], "--url", server.rest_url, "--evidence-for", "1") == 2
        assert "the model has no signature explain_class" in capsys.readouterr().err


def test_pictures_of_several_sizes(server, tmp_path):
    """They are brought to the model's size, as serve_bytes brings them, to a level of grey or two."""
    rng = np.random.default_rng(3)
    smooth = Image.fromarray(rng.integers(0, 256, (9, 12, 3), "uint8")).resize((120, 90))
    files = {"large.png": smooth, "small.png": smooth.resize((20, 16)), "grey.jpg": smooth.convert("L")}
    connection = Connection(server.grpc_url)
    for name, image in files.items():
        image.save(tmp_path / name)
        picture = read_picture(tmp_path / name)
        (explanation,) = explain(connection, [picture])
        answers = connection.call("serve_bytes", image_bytes=[picture.content])
        np.testing.assert_allclose(explanation.answer.probabilities, answers["probabilities"][0], atol=1e-3)


def test_a_model_that_takes_any_size_gets_pictures_as_they_are(tmp_path, client, capsys):
    images = keras.Input((None, None, 3), name="images")
    x = keras.layers.Conv2D(4, 3, 2, padding="same", activation="relu", name="map")(images)
    version = export_model(
        attend(keras.Model(images, x), ["map"], 3), tmp_path / "m", class_names=NAMES, card={}
    )
    for name, size in (("wide", (40, 24)), ("high", (16, 64))):
        Image.new("RGB", size, "red").save(tmp_path / f"{name}.png")
    with StandInServer(version) as server:
        for url in (server.rest_url, server.grpc_url):
            assert Connection(url).image_shape("explain") == (None, None, 3)
            pictures = [read_picture(tmp_path / f"{name}.png") for name in ("wide", "high")]
            shapes = [e.evidence["evidence"].shape for e in explain(Connection(url), pictures)]
            assert shapes == [(24, 40), (64, 16)]
        words = ["wide.png", "high.png", "--url", server.rest_url, "--signature", "explain"]
        assert client(*words) == 0
        # For each picture: attention, and evidence of the tap, of the averaged map, and of both together.
        assert capsys.readouterr().out.count("attention/") == 2 * 4
