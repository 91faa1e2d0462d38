"""Other runtimes than TensorFlow get the Keras model's numbers, and nothing is left of what went wrong."""

import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_run import NAMES, TEMPERATURE, scatter

from attention_keras import attend, build_model, combine_evidence, explain
from attention_keras.errors import UserError
from attention_keras.layers.preprocess import build_preprocess
from attention_keras.models.copies import in_float32
from attention_keras.serving import check, formats
from attention_keras.serving.card import read_card
from attention_keras.serving.export import export_model, export_run
from attention_keras.serving.saved_model import SavedNetwork
from attention_keras.serving.triton import publish_for_triton

LOW = 1e-3  # two graphs of the same network round to bfloat16 at other places


def tempered(logits):
    return keras.activations.softmax(logits / TEMPERATURE)


def export(model, folder, *names, **options):
    facts = {"class_names": NAMES, "card": {"run": "a-run"}, "temperature": TEMPERATURE}
    return export_model(model, folder, names, **facts | options)


def same(answers, wanted, tolerance=1e-5):
    assert answers.keys() == wanted.keys()
    for name, value in answers.items():
        np.testing.assert_allclose(value, wanted[name], atol=tolerance, err_msg=name)


def test_where_they_stand_and_what_is_said(written, exported):
    folder = exported.parent
    assert sorted(path.name for path in folder.iterdir()) == ["1", "digits-1.onnx", "digits-1.tflite"]
    for name, path in (("saved_model", "1"), ("litert", "digits-1.tflite"), ("onnx", "digits-1.onnx")):
        differ = r"probabilities differ from the model's by at most \de[-+]\d\d"
        line = rf"{name}: {folder}/{path}, \d\.\d MB, {differ}"
        assert re.fullmatch(line, str(written[name])), str(written[name])
        assert written[name].difference < 1e-5 and written[name].rounding is None


def test_litert(written, served, images):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    litert = interpreter.Interpreter(model_path=str(written["litert"].path))
    assert set(litert.get_signature_list()) == {"serving_default", "classify", "explain", "explain_class"}
    for batch in (1, 3):
        for signature in litert.get_signature_list():
            inputs = {"images": images[:batch]}
            if signature == "explain_class":
                inputs["classes"] = np.full(batch, 2, "int32")
            found = litert.get_signature_runner(signature)(**inputs)
            same(found, served[signature](**inputs))


@pytest.fixture(scope="module")
def with_evidence(model, images, expected):
    """What an ONNX file answers, of the Keras model."""
    e = explain(model, images)
    levels = {
        f"evidence_{tap}": np.asarray(combine_evidence({tap: level}, (32, 32)))
        for tap, level in e.evidence.items()
    }
    return expected | levels | {"evidence": e.total, "evidence_rest": e.rest}


def test_onnx(written, images, with_evidence, logits):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(written["onnx"].path)
    shapes = {value.name: value.shape for value in (*session.get_inputs(), *session.get_outputs())}
    assert shapes == {
        "images": ["batch", 32, 32, 3],
        "probabilities": ["batch", 3],
        "attention_conv10": ["batch", 16, 16],
        "attention_conv13": ["batch", 8, 8],
        "evidence_conv10": ["batch", 32, 32],
        "evidence_conv13": ["batch", 32, 32],
        "evidence": ["batch", 32, 32],
        "evidence_rest": ["batch"],
    }
    names = [output.name for output in session.get_outputs()]
    for batch in (1, 3):
        found = dict(zip(names, session.run(None, {"images": images[:batch]})))
        same(found, {name: value[:batch] for name, value in with_evidence.items()})
    total = found["evidence"].sum(axis=(1, 2)) + found["evidence_rest"]
    np.testing.assert_allclose(total, logits.max(axis=1) - logits.mean(axis=1), atol=1e-4)


def test_a_repository_of_triton(run_path, written, tmp_path):
    onnx = pytest.importorskip("onnx")
    to = tmp_path / "models"
    (to / "digits").mkdir(parents=True)

    def publish():
        (to / "digits" / ".part").mkdir()
        part = Path(shutil.copy(written["onnx"].path, to / "digits" / ".part" / "model.onnx"))
        return publish_for_triton(part, to / "digits", None)

    [first] = export_run(run_path, to, formats=["onnx"], layout="triton")
    assert first.path == to / "digits" / "1" / "model.onnx" and first.path.exists()
    file = publish()
    assert file == to / "digits" / "2" / "model.onnx" and file.exists()
    (to / "digits" / ".part").rmdir()
    config = (to / "digits" / "config.pbtxt").read_text()
    assert config.startswith('name: "digits"\nbackend: "onnxruntime"\nmax_batch_size: 32\n')
    types = {"UINT8": onnx.TensorProto.UINT8, "FP32": onnx.TensorProto.FLOAT}
    block = r'(\w+) \{\s+name: "(\w+)"\s+data_type: TYPE_(\w+)\s+dims: \[ (.*) \]\s+'
    block += r"(reshape \{ shape: \[ \] \}\s+)?\}"
    found = {
        (kind, name): (types[data_type], [] if reshape else [int(side) for side in dims.split(", ")])
        for kind, name, data_type, dims, reshape in re.findall(block, config)
    }
    graph = onnx.load(file).graph
    assert found == {
        (kind, value.name): (
            value.type.tensor_type.elem_type,
            [axis.dim_value for axis in value.type.tensor_type.shape.dim[1:]],
        )
        for kind, values in (("input", graph.input), ("output", graph.output))
        for value in values
    }
    assert len(found) == 8
    with pytest.raises(UserError, match="is a folder of Triton, which reads no SavedModel"):
        export_run(run_path, to)
    with pytest.raises(UserError, match="has SavedModels, which Triton does not read"):
        export_run(run_path, written["onnx"].path.parents[1], formats=["onnx"], layout="triton")
    with pytest.raises(UserError, match=r"triton is for the format onnx alone; got saved_model"):
        export_run(run_path, to, layout="triton")
    (to / "digits" / "config.pbtxt").write_text(config.replace("[ 16, 16 ]", "[ 8, 8 ]"))
    with pytest.raises(UserError, match="other inputs or outputs than this network"):
        publish()


@pytest.mark.slow
def test_openvino_reads_the_onnx_file(written, images, with_evidence):
    openvino = pytest.importorskip("openvino")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # else it rounds to bfloat16 on processors that have it
    network = openvino.Core().compile_model(written["onnx"].path, "CPU", exact)
    same({output.any_name: value for output, value in network(images).items()}, with_evidence)


@pytest.mark.slow
def test_a_model_of_low_precision(images, tmp_path):
    """The SavedModel computes as it was trained or in float32, the other formats in float32."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    preprocess = build_preprocess("meanstd", images)
    model = scatter(build_model("vgg-att2-concat-pc", num_classes=3, width=0.05, preprocess=preprocess))
    keras.config.set_dtype_policy("float32")
    trained, exact = (check.model_answers(m, images, tempered) for m in (model, in_float32(model)))
    folder = tmp_path / "digits"
    saved_model, litert = export(model, folder, "saved_model", "litert")
    same(check.RUNTIMES["saved_model"](saved_model.path, images), trained, 2e-2)
    outputs = model.predict(images.astype("float32"), verbose=0)
    predicted = tf.nn.softmax(outputs["logits"] / TEMPERATURE)
    served = tf.saved_model.load(str(saved_model.path)).signatures["serving_default"](images=images)
    np.testing.assert_allclose(served["probabilities"], predicted, atol=LOW)
    same(check.RUNTIMES["litert"](litert.path, images), exact)
    assert saved_model.rounding is None and 0 < litert.rounding < 2e-2
    said = f"; float32 in place of mixed_bfloat16 changes them by at most {litert.rounding:.0e}"
    assert str(litert).endswith(said) and read_card(saved_model.path)["precision"] == "mixed_bfloat16"
    [in_full] = export(model, folder, "saved_model", precision="float32", version=4)
    same(check.RUNTIMES["saved_model"](in_full.path, images), exact)
    # A file alone takes the number of the run's newest SavedModel, and is never overwritten.
    [onnx] = export(model, folder, "onnx")
    assert onnx.path == folder / "digits-4.onnx" and onnx.difference < 1e-5
    with pytest.raises(UserError, match=r"digits-4\.onnx exists already"):
        export(model, folder, "onnx")
    [other] = export(model, folder, "onnx", card={"run": "another"})
    assert other.path == folder / "digits-5.onnx"


@pytest.mark.slow
def test_images_of_any_size(tmp_path, monkeypatch):
    monkeypatch.setattr(check, "SIDE", 32)
    backbone = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, name="tap")])
    model = attend(backbone, ["tap"], num_classes=3)
    with pytest.raises(UserError, match="litert needs images of one size"):
        export(model, tmp_path / "m", "litert")
    [onnx] = export(model, tmp_path / "m", "onnx")
    assert onnx.difference < 1e-5


class TestUnhappyEndings:
    """Nothing is left, and the error is one line. The network is written by stand-ins, which are quick."""

    @pytest.fixture(autouse=True)
    def stand_ins(self, model, monkeypatch):
        def write(network, path, **facts):
            path.mkdir()
            (path / "saved_model.pb").write_bytes(b"a network")
            return SavedNetwork(None, path, {})

        def answers(file, images):
            assert file.exists()
            return check.model_answers(model, images, tempered)

        def with_evidence(file, images):
            return answers(file, images) | check.evidence_answers(model, images)

        monkeypatch.setattr("attention_keras.serving.saved_model.write_saved_model", write)
        monkeypatch.setitem(formats._WRITERS, "onnx", lambda network, file: file.write_bytes(b"a file"))
        monkeypatch.setattr("attention_keras.serving.export.check_formats", lambda *names: None)
        monkeypatch.setitem(check.RUNTIMES, "saved_model", answers)
        monkeypatch.setitem(check.RUNTIMES, "onnx", with_evidence)

    def test_a_file_that_is_not_the_model_is_removed(self, model, tmp_path, monkeypatch):
        right = check.RUNTIMES["onnx"]

        def shifted(by):
            def answers(file, images):
                found = right(file, images)
                return found | {"attention_conv13": found["attention_conv13"] + by}

            monkeypatch.setitem(check.RUNTIMES, "onnx", answers)

        for shift in (3e-3, np.nan):
            shifted(shift)
            said = r"the onnx file's attention_conv13 differs .* more than 2e-03; nothing was exported"
            with pytest.raises(UserError, match=said):
                export(model, tmp_path / "n", "saved_model", "onnx")
        assert list(tmp_path.iterdir()) == []
        shifted(1e-3)
        export(model, tmp_path / "m", "saved_model", "onnx")
        found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
        assert found == ["m/1/saved_model.pb", "m/m-1.onnx"]

    def test_what_cannot_be_run_here_is_said_to_be_unchecked(self, model, tmp_path, monkeypatch):
        monkeypatch.setitem(check.RUNTIMES, "onnx", lambda file, images: None)
        [onnx] = export(model, tmp_path / "digits", "onnx")
        assert str(onnx).endswith("/digits-1.onnx, 0.0 MB, not checked, since onnxruntime is not installed")

    def test_a_converter_that_fails_is_one_line(self, model, tmp_path, monkeypatch):
        def fail(network, file):
            file.write_bytes(b"half a fi")
            raise RuntimeError("\n  no such operation: Foo\nmore of it")

        monkeypatch.setitem(formats._WRITERS, "onnx", fail)
        with pytest.raises(UserError, match=r"cannot be written as onnx: no such operation: Foo$"):
            export(model, tmp_path / "m", "saved_model", "onnx")
        assert list(tmp_path.iterdir()) == []
