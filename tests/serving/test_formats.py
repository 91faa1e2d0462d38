"""Other formats than the SavedModel: the Keras model's numbers, and never half a file."""

import importlib.util
import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from attention_keras import attend, build_model
from attention_keras.errors import UserError
from attention_keras.layers.preprocess import build_preprocess
from attention_keras.models.float32 import in_float32
from attention_keras.serving import checks, formats
from attention_keras.serving.card import CARD_FILE
from attention_keras.serving.export import newest_version
from attention_keras.serving.export_formats import export_model_as
from attention_keras.serving.versions import publish, unfinished_version, versions

NAMES = ["zero", "one", "two"]
TEMPERATURE = 2.0
CARD = {"run": "a-run"}
LOW = 1e-3  # two graphs of the same network round to bfloat16 at other places


@pytest.fixture(scope="module")
def low(images):
    """A network of mixed precision with constants in its graph and probabilities far from equal."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    preprocess = build_preprocess("meanstd", images)
    model = build_model("vgg-att2-concat-pc", num_classes=3, width=0.05, preprocess=preprocess)
    kernel = model.get_layer("classifier").kernel
    kernel.assign(30 * kernel)
    keras.config.set_dtype_policy("float32")
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exports") / "digits"


def export(model, folder, *names, **options):
    facts = {"class_names": NAMES, "card": CARD, "temperature": TEMPERATURE}
    return export_model_as(model, folder, names, **facts | options)


@pytest.fixture(scope="module")
def written(low, folder):
    """A SavedModel and a LiteRT file of it."""
    return export(low, folder, "saved_model", "litert")


def answers_of(model, images):
    """As documented: softmax of the logits over the temperature, and the maps."""
    outputs = model.predict(images.astype("float32"), verbose=0)
    probabilities = tf.nn.softmax(outputs.pop("logits") / TEMPERATURE).numpy()
    return {"probabilities": probabilities, **outputs}


def check(answers, wanted, tolerance=1e-5):
    assert answers.keys() == wanted.keys()
    for name, value in answers.items():
        np.testing.assert_allclose(value, wanted[name], atol=tolerance, err_msg=name)


def test_where_they_stand_and_what_is_said(written, folder):
    saved_model, litert = written
    assert (saved_model.path, litert.path) == (folder / "1", folder / "digits-1.tflite")
    assert versions(folder) == {1: folder / "1"} and newest_version(folder) == folder / "1"
    assert sorted(path.name for path in folder.iterdir()) == ["1", "digits-1.tflite"]
    assert saved_model.rounding is None and 0 < litert.rounding < 2e-2
    assert saved_model.difference < LOW and litert.difference < 1e-5
    assert str(saved_model).startswith(f"saved_model: {folder}/1, ")
    said = f"; float32 in place of mixed_bfloat16 changes them by at most {litert.rounding:.0e}"
    assert str(litert).startswith(f"litert: {folder}/digits-1.tflite, 0.") and str(litert).endswith(said)
    assert json.loads((folder / "1" / CARD_FILE).read_text())["precision"] == "mixed_bfloat16"


def test_litert_has_the_numbers_of_the_model_in_float32(written, low, images):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    litert = interpreter.Interpreter(model_path=str(written[1].path))
    assert set(litert.get_signature_list()) == {"serving_default", "classify", "explain", "explain_class"}
    wanted = answers_of(in_float32(low), images)
    for batch in (1, 3):
        found = litert.get_signature_runner("serving_default")(images=images[:batch])
        check(found, {name: value[:batch] for name, value in wanted.items()})
    check(wanted, answers_of(low, images), tolerance=2e-2)  # float32 does not round


def test_the_saved_model_has_the_numbers_of_the_model_as_it_was_trained(written, low, images):
    found = tf.saved_model.load(str(written[0].path)).signatures["serving_default"](images=images)
    check(found, answers_of(low, images), tolerance=LOW)


def test_onnx_takes_the_number_of_the_runs_saved_model(written, low, images, folder):
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    (onnx,) = export(low, folder, "onnx")
    assert onnx.path == folder / "digits-1.onnx" and onnx.difference < 1e-5
    session = runtime.InferenceSession(onnx.path)
    shapes = {value.name: value.shape for value in (*session.get_inputs(), *session.get_outputs())}
    assert shapes == {
        "images": ["batch", 32, 32, 3],
        "probabilities": ["batch", 3],
        "attention_conv10": ["batch", 16, 16],
        "attention_conv13": ["batch", 8, 8],
    }
    names = [output.name for output in session.get_outputs()]
    wanted = answers_of(in_float32(low), images)
    for batch in (1, 3):
        found = dict(zip(names, session.run(None, {"images": images[:batch]})))
        check(found, {name: value[:batch] for name, value in wanted.items()})
    with pytest.raises(UserError, match=r"digits-1\.onnx exists already"):
        export(low, folder, "onnx", version=1)


@pytest.mark.skipif(not importlib.util.find_spec("openvino"), reason="openvino is not installed")
def test_openvino(low, images, tmp_path):
    (written,) = export(low, tmp_path / "digits", "openvino", version=3)
    assert sorted(path.name for path in (tmp_path / "digits").iterdir()) == ["digits-3.bin", "digits-3.xml"]
    assert written.path.name == "digits-3.xml" and written.difference < 1e-5
    assert sys.modules["openvino_telemetry"] is None  # nothing was reported to anyone
    check(checks.file_answers("openvino", written.path, images), answers_of(in_float32(low), images))


@pytest.mark.slow
def test_a_saved_model_in_float32(low, images, tmp_path):
    (saved_model,) = export(low, tmp_path / "digits", "saved_model", precision="float32")
    found = tf.saved_model.load(str(saved_model.path)).signatures["serving_default"](images=images)
    check(found, answers_of(in_float32(low), images))
    assert json.loads((saved_model.path / CARD_FILE).read_text())["precision"] == "float32"


@pytest.mark.slow
def test_images_of_any_size(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "SIDE", 32)
    backbone = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, name="tap")])
    model = attend(backbone, ["tap"], num_classes=3)
    with pytest.raises(UserError, match="litert needs images of one size"):
        export(model, tmp_path / "m", "litert")
    pytest.importorskip("tf2onnx")
    (onnx,) = export(model, tmp_path / "m", "onnx")
    assert onnx.difference is None or onnx.difference < 1e-5


class TestUnhappyEndings:
    """Nothing is left, and the error is one line. The network is written by stand-ins, which are quick."""

    @pytest.fixture(autouse=True)
    def stand_ins(self, monkeypatch):
        def write(network, path, **facts):
            path.mkdir()
            (path / "saved_model.pb").write_bytes(b"a network")
            return formats.SavedNetwork(None, path, {})

        monkeypatch.setattr("attention_keras.serving.saved_model.write_saved_model", write)
        monkeypatch.setitem(formats._WRITERS, "onnx", lambda network, file: file.write_bytes(b"a file"))
        monkeypatch.setattr("attention_keras.serving.export_formats.check_formats", lambda names: None)

    @pytest.mark.parametrize("shift", [3e-3, np.nan])
    def test_a_file_that_is_not_the_model_is_removed(self, shift, model, tmp_path, monkeypatch):
        wrong = {}

        def answers(name, file, images):
            assert file.exists()
            found = checks.model_answers(model, images, TEMPERATURE)
            if name == "onnx":
                found["attention_conv13"] = found["attention_conv13"] + wrong["shift"]
            return found

        monkeypatch.setattr(checks, "file_answers", answers)
        wrong["shift"] = 1e-3
        assert len(export(model, tmp_path / "m", "saved_model", "onnx")) == 2
        wrong["shift"] = shift
        said = r"the onnx file's attention_conv13 differs .* more than 2e-03; nothing was exported"
        with pytest.raises(UserError, match=said):
            export(model, tmp_path / "n", "saved_model", "onnx")
        assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
            "m",
            "m/1",
            "m/1/saved_model.pb",
            "m/m-1.onnx",
        ]

    def test_what_cannot_be_run_here_is_said_to_be_unchecked(self, model, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed
        (onnx,) = export(model, tmp_path / "digits", "onnx")
        assert str(onnx).endswith("/digits-1.onnx, 0.0 MB, not checked, since onnxruntime is not installed")

    def test_a_converter_that_fails_is_one_line(self, model, tmp_path, monkeypatch):
        def fail(network, file):
            file.write_bytes(b"half a fi")
            raise RuntimeError("\n  no such operation: Foo\nmore of it")

        monkeypatch.setitem(formats._WRITERS, "onnx", fail)
        with pytest.raises(UserError, match=r"cannot be written as onnx: no such operation: Foo$"):
            export(model, tmp_path / "m", "saved_model", "onnx")
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_written(self, model, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(UserError, match=r"cannot write to .*; nothing was exported"):
            export(model, tmp_path / "file" / "m", "onnx")


def published(directory, suffixes, saved_model=False, version=None, preferred=None):
    """Put files of these suffixes, and a SavedModel, in place."""
    with unfinished_version(directory) as unfinished:
        files = {suffix: unfinished / f"model{suffix}" for suffix in suffixes}
        for suffix, file in files.items():
            file.write_text(suffix)
        if saved_model:
            (unfinished / "saved").mkdir()
            (unfinished / "saved" / "saved_model.pb").write_text("")
        return publish(directory, version, unfinished / "saved" if saved_model else None, files, preferred)


def test_numbers_are_above_those_of_versions_and_of_files(tmp_path):
    directory = tmp_path / "m"
    assert published(directory, [".onnx"]) == 1
    assert published(directory, [], saved_model=True) == 2
    assert published(directory, [".bin", ".xml"], preferred=2) == 2
    assert published(directory, [".bin", ".xml"], preferred=2) == 3  # taken
    assert published(directory, [".tflite"], saved_model=True) == 4
    assert published(directory, [".tflite"], version=1) == 1
    (directory / "7").mkdir()
    (directory / "7" / "saved_model.pb").write_text("")
    assert published(directory, [".onnx"], saved_model=True, preferred=7) == 8
    with pytest.raises(UserError, match=r"m-2\.xml exists already"):
        published(directory, [".xml", ".onnx"], version=2)
    assert not (directory / "m-2.onnx").exists() and not (directory / "m-7.onnx").exists()
    assert not list(directory.glob(".unfinished*"))


def test_a_disk_without_links_takes_files_too(tmp_path, monkeypatch):
    def no_links(source, target):
        raise PermissionError

    monkeypatch.setattr("os.link", no_links)
    directory = tmp_path / "m"
    assert published(directory, [".bin", ".xml"]) == 1
    assert published(directory, [".xml", ".onnx"], preferred=1) == 2
    (directory / "3").mkdir()
    (directory / "3" / "saved_model.pb").write_text("")
    assert published(directory, [".onnx"], saved_model=True, preferred=3) == 4
    assert (directory / "m-4.onnx").read_text() == ".onnx" and not (directory / "m-3.onnx").exists()
