"""What the page to try a model on answers: the model's numbers, or what was wrong in one line."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from stand_in_server import StandInServer

from attention_keras import build_model
from attention_keras.commands.command_line import exit_code
from attention_keras.drawing.maps import overlay, signed_overlay
from attention_keras.errors import UserError
from attention_keras.models.evidence import combine_evidence, evidence_model
from attention_keras.models.outputs import evidence_maps
from attention_keras.serving.client import read_picture
from attention_keras.serving.export import export_model

SOURCE = Path(__file__).parents[2] / "examples" / "demo_app" / "app.py"
COLOR_STEP = 4  # between neighbours of the map's 256 colours; rounding can decide for either


@pytest.fixture(scope="module")
def app():
    spec = importlib.util.spec_from_file_location("demo_app", SOURCE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["demo_app"] = module  # where dataclasses look for a class's module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["demo_app"]


@pytest.fixture(scope="module")
def opened(app, exported):
    """The export's parent was given, as after training; the app takes the newest version."""
    return app.open_model(app.AppConfig(str(exported.parent)))


@pytest.fixture
def picture(images, tmp_path):
    path = tmp_path / "my picture.png"
    Image.fromarray(images[1]).save(path)
    return path


def check(app, opened, picture, expected):
    """The numbers and pictures for images[1] are the Keras model's."""
    classes, shown = app.look(*opened, read_picture(picture))
    assert list(classes) == ["zero", "one", "two"]
    np.testing.assert_allclose(list(classes.values()), expected["probabilities"][1], atol=1e-5)
    pixels = read_picture(picture).pixels
    assert pixels.shape == (256, 256, 3) and shown[0][1] == "my picture.png"
    np.testing.assert_array_equal(shown[0][0], pixels)
    for (drawn, title), tap, size in zip(shown[1:], ("conv10", "conv13"), ("16x16", "8x8"), strict=True):
        level = expected[f"attention_{tap}"][1]
        ends = re.fullmatch(rf"{tap}, {size}: (\S+) to (\S+)", title).groups()
        assert [float(end) for end in ends] == pytest.approx(
            [level.min(), level.max()], rel=0.06
        )  # two digits
        assert np.abs(drawn.astype(int) - overlay(pixels, level)).max() <= COLOR_STEP


def test_answers_of_an_export(app, opened, exported, picture, expected):
    check(app, opened, picture, expected)
    check(app, app.open_model(app.AppConfig(str(exported))), picture, expected)


def test_answers_of_a_server(app, exported, picture, expected):
    with StandInServer(exported) as server:
        for url in (server.rest_url, server.grpc_url):
            check(app, app.open_model(app.AppConfig(url, labels=str(exported))), picture, expected)
        classes, _ = app.look(*app.open_model(app.AppConfig(server.rest_url)), read_picture(picture))
        assert list(classes) == ["class 0", "class 1", "class 2"]


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_a_picture_of_another_kind_is_answered_as_its_colours(app, opened, model, images, tmp_path, mode):
    converted = Image.fromarray(images[1]).convert(mode)
    path = tmp_path / f"picture.{'tiff' if mode == 'CMYK' else 'png'}"
    converted.save(path)
    outputs = model.predict(np.asarray(converted.convert("RGB"), "float32")[None], verbose=0)
    classes, shown = app.look(*opened, read_picture(path))
    expected = tf.nn.softmax(outputs["logits"][0])
    np.testing.assert_allclose(list(classes.values()), expected, atol=1e-5)
    assert [pixels.shape for pixels, _ in shown] == [(256, 256, 3)] * 3


def test_a_large_picture_keeps_its_shape(app, opened, tmp_path):
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (500, 2000, 3), "uint8")).save(
        tmp_path / "x.png"
    )
    _, shown = app.look(*opened, read_picture(tmp_path / "x.png"))
    # The maps lie on the middle, which is what the model saw.
    assert [pixels.shape for pixels, _ in shown] == [(256, 1024, 3), (256, 256, 3), (256, 256, 3)]


def test_what_the_model_cannot_decode(app, opened, picture):
    broken = opened[0].call("serve_bytes", image_bytes=[b"\x89PNG"])

    class Refusing:
        def call(self, signature, **inputs):
            return broken

    with pytest.raises(UserError, match="cannot decode this picture"):
        app.look(Refusing(), None, read_picture(picture))


def test_why_a_class(app, opened, exported, picture, model, images):
    """Evidence of an export and of a server is the Keras model's, for every class."""
    outputs = evidence_model(model).predict(images[1:2].astype("float32"), verbose=0)
    maps = evidence_maps(outputs)
    pixels = read_picture(picture).pixels
    with StandInServer(exported) as server:
        served = app.open_model(app.AppConfig(server.grpc_url, labels=str(exported)))
        for (opened_model, names), number in ((opened, 0), (opened, 1), (served, 2)):
            words, shown = app.why(opened_model, names, read_picture(picture), number)
            full = {
                f"evidence, {tap}": np.asarray(combine_evidence({tap: level[..., number]}, (32, 32)))[0]
                for tap, level in maps.items()
            }
            full = {"evidence": sum(full.values()), **full}
            limit = max(np.abs(level).max() for level in full.values())
            assert words.startswith(f"evidence for {('zero', 'one', 'two')[number]}: ")
            for (drawn, title), (name, level) in zip(shown, full.items(), strict=True):
                begin, ends = title.split(": ")
                assert begin == name
                assert [float(end) for end in ends.split(" to ")] == pytest.approx([-limit, limit], rel=0.06)
                assert np.abs(drawn.astype(int) - signed_overlay(pixels, level, limit)).max() <= COLOR_STEP


def test_a_model_without_evidence_shows_none(app, picture, tmp_path):
    vgg = build_model("vgg", num_classes=3, width=0.05)
    export_model(vgg, tmp_path / "vgg", class_names=["zero", "one", "two"], card={})
    opened = app.open_model(app.AppConfig(str(tmp_path / "vgg")))
    assert app.why(*opened, read_picture(picture), 0) == ("", [])
    with StandInServer(tmp_path / "vgg" / "1") as server:
        assert app.why(*app.open_model(app.AppConfig(server.rest_url)), read_picture(picture), 0) == ("", [])


def test_names_that_do_not_fit(app, opened, picture, tmp_path):
    (tmp_path / "two.txt").write_text("a\nb\n")
    _, names = app.open_model(app.AppConfig("http://localhost/v1/models/m", labels=str(tmp_path / "two.txt")))
    with pytest.raises(UserError, match="the model has 3 classes, but there are 2 names"):
        app.look(opened[0], names, read_picture(picture))
    classes, _ = app.look(opened[0], ["crane", "crane", "cat"], read_picture(picture))
    assert list(classes) == ["crane (0)", "crane (1)", "cat"]


def test_mistakes_are_told_in_one_line(app, exported, tmp_path, monkeypatch, capsys):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"no model")
    tf.saved_model.save(tf.Module(), str(tmp_path / "other" / "1"))
    monkeypatch.setitem(sys.modules, "gradio", None)  # as where it is not installed
    for words, said in (
        ([tmp_path / "none"], "there is no export at"),
        ([tmp_path / "broken"], "cannot load"),
        ([tmp_path / "other"], "no signature serve_bytes"),
        (["http://localhost"], "it is http://HOST:8501/v1/models/NAME"),
        ([exported, "--labels", tmp_path / "none"], "there is no labels.txt"),
        ([exported, "--port", "0"], "--port must be from 1 to 65535"),
        (
            [exported],
            'the page needs gradio, which is not installed; pip install "attention-keras[demo-app]"',
        ),
        ([], "required"),
    ):
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["app.py", *map(str, words)])
        assert exit_code(app.main) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if not re.match(r"[IWE]\d{4} ", line)]
        assert len(lines) == 1 and lines[0].startswith("error: ") and said in lines[0]
