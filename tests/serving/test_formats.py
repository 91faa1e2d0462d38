"""Other runtimes than TensorFlow get the Keras model's numbers, and nothing is left of what went wrong."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_run import NAMES, TEMPERATURE, same, scatter

from attention_keras import attend, build_model, combine_evidence, explain
from attention_keras.errors import UserError
from attention_keras.layers.preprocess import build_preprocess
from attention_keras.models.copies import in_float32
from attention_keras.serving import check
from attention_keras.serving.export import export_model, export_run
from attention_keras.serving.versions import read_card

LOW = 1e-3  # two graphs of the same network round to bfloat16 at other places


def tempered(logits):
    return keras.activations.softmax(logits / TEMPERATURE)


def export(model, folder, *names, **options):
    facts = {"class_names": NAMES, "card": {"run": "a-run"}, "temperature": TEMPERATURE}
    return export_model(model, folder, names, **facts | options)


def test_where_they_stand_and_what_is_said(written, exported):
    folder = exported.parent
    places = {"saved_model": "1", "litert": "digits-1.tflite", "onnx": "digits-1.onnx"}
    assert {path.name for path in folder.iterdir()} == set(places.values())
    for name, path in places.items():
        differ = r"probabilities differ from the model's by at most \de[-+]\d\d"
        assert re.fullmatch(rf"{name}: {folder}/{path}, \d\.\d MB, {differ}", str(written[name]))
        assert written[name].difference < 1e-5 and written[name].rounding is None


def test_litert(written, served, images):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    litert = interpreter.Interpreter(model_path=str(written["litert"].path))
    assert set(litert.get_signature_list()) == {"serving_default", "classify", "explain", "explain_class"}
    for batch in (1, 3):
        for signature in litert.get_signature_list():
            classes = {"classes": np.full(batch, 2, "int32")} if signature == "explain_class" else {}
            inputs = {"images": images[:batch], **classes}
            same(litert.get_signature_runner(signature)(**inputs), served[signature](**inputs))


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
    whole = {name: ["batch", *value.shape[1:]] for name, value in with_evidence.items()}
    assert shapes == {"images": ["batch", 32, 32, 3], **whole}
    names = [output.name for output in session.get_outputs()]
    for batch in (1, 3):
        found = dict(zip(names, session.run(None, {"images": images[:batch]})))
        same(found, {name: value[:batch] for name, value in with_evidence.items()})
    total = found["evidence"].sum(axis=(1, 2)) + found["evidence_rest"]
    np.testing.assert_allclose(total, logits.max(axis=1) - logits.mean(axis=1), atol=1e-4)


def test_a_repository_of_triton(run_path, written, tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    content = written["onnx"].path.read_bytes()  # it is converted once
    monkeypatch.setattr(
        "attention_keras.serving.onnx_file.write_onnx", lambda served, file: file.write_bytes(content)
    )
    triton = {"formats": ["onnx"], "layout": "triton"}
    config = tmp_path / "digits" / "config.pbtxt"
    for version in ("1", "2"):
        [found] = export_run(run_path, tmp_path, **triton)
        assert found.path == tmp_path / "digits" / version / "model.onnx" and found.path.exists()
    said = config.read_text()
    assert said.startswith('name: "digits"\nbackend: "onnxruntime"\nmax_batch_size: 32\n')
    assert sorted(path.name for path in config.parent.iterdir()) == ["1", "2", "config.pbtxt"]
    types = {"UINT8": onnx.TensorProto.UINT8, "FP32": onnx.TensorProto.FLOAT}
    block = r'(\w+) \{\s+name: "(\w+)"\s+data_type: TYPE_(\w+)\s+dims: \[ (.*) \]\s+'
    block += r"(reshape \{ shape: \[ \] \}\s+)?\}"
    blocks = {
        (kind, name): (types[data_type], [] if reshape else [int(side) for side in dims.split(", ")])
        for kind, name, data_type, dims, reshape in re.findall(block, said)
    }
    graph = onnx.load(found.path).graph
    for kind, values in (("input", graph.input), ("output", graph.output)):
        for value in values:
            tensor = value.type.tensor_type
            sides = [axis.dim_value for axis in tensor.shape.dim[1:]]
            assert blocks.pop((kind, value.name)) == (tensor.elem_type, sides)
    assert blocks == {} and len(graph.output) == 7
    with pytest.raises(UserError, match="is a folder of Triton, which reads no SavedModel"):
        export_run(run_path, tmp_path)
    with pytest.raises(UserError, match="has SavedModels, which Triton does not read"):
        export_run(run_path, written["onnx"].path.parents[1], **triton)
    with pytest.raises(UserError, match=r"triton is for the format onnx alone; got saved_model"):
        export_run(run_path, tmp_path, layout="triton")
    config.write_text(said.replace("[ 16, 16 ]", "[ 8, 8 ]"))
    with pytest.raises(UserError, match="other inputs or outputs than this network"):
        export_run(run_path, tmp_path, **triton)


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
    same(check.run_file("saved_model", saved_model.path, images), trained, 2e-2)
    outputs = model.predict(images.astype("float32"), verbose=0)
    predicted = tf.nn.softmax(outputs["logits"] / TEMPERATURE)
    served = tf.saved_model.load(str(saved_model.path)).signatures["serving_default"](images=images)
    np.testing.assert_allclose(served["probabilities"], predicted, atol=LOW)
    same(check.run_file("litert", litert.path, images), exact)
    assert saved_model.rounding is None and 0 < litert.rounding < 2e-2
    said = f"; float32 in place of mixed_bfloat16 changes them by at most {litert.rounding:.0e}"
    assert str(litert).endswith(said) and read_card(saved_model.path)["precision"] == "mixed_bfloat16"
    [in_full] = export(model, folder, "saved_model", precision="float32", version=4)
    same(check.run_file("saved_model", in_full.path, images), exact)
    # A file alone takes the number of the run's newest SavedModel, and is never overwritten.
    [onnx] = export(model, folder, "onnx")
    assert onnx.path == folder / "digits-4.onnx" and onnx.difference < 1e-5
    with pytest.raises(UserError, match=r"digits-4\.onnx exists already"):
        export(model, folder, "onnx")
    [other] = export(model, folder, "onnx", card={"run": "another"})
    assert other.path == folder / "digits-5.onnx"


@pytest.mark.slow
def test_a_model_that_takes_any_size(tmp_path, monkeypatch):
    """Maps are as large as the images that are sent; files have no size to be brought to."""
    monkeypatch.setattr(check, "SIDE", 32)
    backbone = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, name="tap")])
    model = scatter(attend(backbone, ["tap"], num_classes=3))
    with pytest.raises(UserError, match="litert needs images of one size"):
        export(model, tmp_path / "m", "litert")
    version, onnx = export(model, tmp_path / "m", "saved_model", "onnx")
    assert onnx.difference < 1e-5 and read_card(version.path)["input"]["shape"] == [None, None, 3]
    served = tf.saved_model.load(str(version.path)).signatures
    assert set(served) == {"serving_default", "classify", "explain", "explain_class", "describe"}
    for height, width in ((40, 56), (64, 32)):
        pixels = np.random.default_rng(2).integers(0, 256, (2, height, width, 3), dtype="uint8")
        logits = np.asarray(model(pixels.astype("float32"))["logits"])
        explained = {name: value.numpy() for name, value in served["explain"](images=pixels).items()}
        shapes = {v.shape for n, v in explained.items() if n not in ("probabilities", "evidence_rest")}
        assert shapes == {(2, height, width)}
        total = explained["evidence"].sum((1, 2)) + explained["evidence_rest"]
        np.testing.assert_allclose(total, logits.max(-1) - logits.mean(-1), atol=1e-4 * np.abs(logits).max())
        assert served["explain"](images=pixels[:0])["evidence"].shape == (0, height, width)


def test_nothing_is_left_of_what_went_wrong(model, tmp_path, monkeypatch):
    """Each time one line. The network is written and run by stand-ins, which are quick."""

    def write(served, path, card):
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"a network")

    def fail(served, file):
        file.write_bytes(b"half a fi")
        raise RuntimeError("\n  no such operation: Foo\nmore of it")

    def shifted(by):
        def run(name, file, images):
            found = check.model_answers(model, images, tempered, evidence=name == "onnx")
            return found | {"attention_conv13": found["attention_conv13"] + (by if name == "onnx" else 0)}

        monkeypatch.setattr(check, "run_file", run)

    def not_installed(name, file, images):
        raise ModuleNotFoundError("onnxruntime")

    monkeypatch.setattr("attention_keras.serving.saved_model.write_saved_model", write)
    monkeypatch.setattr("attention_keras.serving.onnx_file.write_onnx", fail)
    shifted(0)
    with pytest.raises(UserError, match=r"cannot be written as onnx: no such operation: Foo$"):
        export(model, tmp_path / "m", "saved_model", "onnx")
    monkeypatch.setattr(
        "attention_keras.serving.onnx_file.write_onnx", lambda served, file: file.write_bytes(b"a file")
    )
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
    monkeypatch.setattr(check, "run_file", not_installed)
    [onnx] = export(model, tmp_path / "digits", "onnx")
    assert str(onnx).endswith("/digits-1.onnx, 0.0 MB, not checked, since onnxruntime is not installed")
