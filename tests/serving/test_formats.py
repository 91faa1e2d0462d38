"""Other runtimes than TensorFlow get the Keras model's numbers, and nothing is left of what went wrong."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from small_run import NAMES, TEMPERATURE, same, scatter

from attention_keras import attend, build_model, combine_evidence, explain
from attention_keras.errors import UserError
from attention_keras.layers.preprocess import build_preprocess
from attention_keras.models.copies import in_float32
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.serving import formats
from attention_keras.serving.export import export_model, export_run
from attention_keras.serving.formats import model_answers, representative_images, run_file, same_answers
from attention_keras.serving.versions import read_card


def tempered(logits):
    return keras.activations.softmax(logits / TEMPERATURE)


def export(model, folder, *names, **options):
    facts = {"class_names": NAMES, "card": {"run": "a-run"}, "temperature": TEMPERATURE}
    return export_model(model, folder, names, **facts | options)


def test_where_they_stand(written, exported):
    assert {p.name for p in exported.parent.iterdir()} == {"1", "digits-1.tflite", "digits-1.onnx"}
    assert all(file.difference < 1e-5 and file.rounding is None for file in written.values())


def test_litert(written, served, images):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    litert = interpreter.Interpreter(model_path=str(written["litert"].path))
    assert set(litert.get_signature_list()) == {"serving_default", "classify", "explain", "explain_class"}
    for signature in litert.get_signature_list():
        for batch in (1, 3):
            classes = {"classes": np.full(batch, 2, "int32")} if signature == "explain_class" else {}
            inputs = {"images": images[:batch], **classes}
            same(litert.get_signature_runner(signature)(**inputs), served[signature](**inputs))


@pytest.fixture(scope="module")
def with_evidence(model, images, expected):
    """What an ONNX file answers, of the Keras model."""
    e = explain(model, images)
    maps = {tap: np.asarray(combine_evidence({tap: level}, (32, 32))) for tap, level in e.evidence.items()}
    levels = {f"evidence_{tap}": level for tap, level in maps.items()}
    return expected | levels | {"evidence": e.total, "evidence_rest": e.rest}


def test_onnx(written, images, with_evidence, logits):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(written["onnx"].path)
    shapes = {value.name: value.shape for value in (*session.get_inputs(), *session.get_outputs())}
    whole = {name: ["batch", *value.shape[1:]] for name, value in with_evidence.items()}
    assert shapes == {"images": ["batch", 32, 32, 3], **whole}
    for batch in (1, 3):
        found = run_file("onnx", written["onnx"].path, images[:batch])
        same(found, {name: value[:batch] for name, value in with_evidence.items()})
    total = found["evidence"].sum(axis=(1, 2)) + found["evidence_rest"]
    np.testing.assert_allclose(total, logits.max(axis=1) - logits.mean(axis=1), atol=1e-4)


@pytest.mark.slow
def test_openvino_reads_the_onnx_file(written, images, with_evidence):
    openvino = pytest.importorskip("openvino")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # else it rounds to bfloat16 on processors that have it
    network = openvino.Core().compile_model(written["onnx"].path, "CPU", exact)
    same({output.any_name: value for output, value in network(images).items()}, with_evidence)


def test_a_repository_of_triton(run_path, written, tmp_path, monkeypatch):
    content = written["onnx"].path.read_bytes()  # it is converted once
    monkeypatch.setattr(formats, "write_onnx", lambda served, file: file.write_bytes(content))
    folder = tmp_path / "digits"
    for version in ("1", "2"):
        [found] = export_run(run_path, tmp_path, formats=["onnx"], layout="triton")
        assert found.path == folder / version / "model.onnx" and found.path.exists()
    assert 'name: "digits"\nbackend: "onnxruntime"\n' in (folder / "config.pbtxt").read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2", "config.pbtxt"]
    with pytest.raises(UserError, match=r"triton is for the format onnx alone; got saved_model"):
        export_run(run_path, tmp_path, layout="triton")


@pytest.mark.slow
def test_a_model_of_low_precision(images, tmp_path):
    """The SavedModel computes as it was trained or in float32, the other formats in float32."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    preprocess = build_preprocess("meanstd", images)
    model = scatter(build_model("vgg-att2-concat-pc", num_classes=3, width=0.05, preprocess=preprocess))
    keras.config.set_dtype_policy("float32")
    trained, exact = (model_answers(m, images, tempered) for m in (model, in_float32(model)))
    folder = tmp_path / "digits"
    saved_model, litert = export(model, folder, "saved_model", "litert")
    found = run_file("saved_model", saved_model.path, images)
    same(found, trained, 2e-2)
    predicted = tempered(model.predict(images.astype("float32"), verbose=0)["logits"])
    # Two graphs of the same network round to bfloat16 at other places.
    np.testing.assert_allclose(found["probabilities"], predicted, atol=1e-3)
    same(run_file("litert", litert.path, images), exact)
    assert saved_model.rounding is None and 0 < litert.rounding < 2e-2
    [in_full] = export(model, folder, "saved_model", precision="float32", version=4)
    same(run_file("saved_model", in_full.path, images), exact)
    # A file alone takes the number of the run's newest SavedModel, and is never overwritten.
    [onnx] = export(model, folder, "onnx")
    assert onnx.path == folder / "digits-4.onnx" and onnx.difference < 1e-5
    [other] = export(model, folder, "onnx", card={"run": "another"})
    assert other.path == folder / "digits-5.onnx"


@pytest.mark.slow
def test_a_model_that_takes_any_size(tmp_path, monkeypatch):
    """Maps are as large as the images that are sent; files have no size to be brought to."""
    monkeypatch.setattr(formats, "SIDE", 32)
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
    runtime = SimpleNamespace(shift=0.0)

    def write(served, path, card):
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"a network")

    def fail(served, file):
        file.write_bytes(b"half a fi")
        raise RuntimeError("\n  no such operation: Foo\nmore of it")

    def run(name, file, images):
        found = model_answers(model, images, tempered, evidence=name == "onnx")
        shift = runtime.shift if name == "onnx" else 0
        return found | {"attention_conv13": found["attention_conv13"] + shift}

    monkeypatch.setattr("attention_keras.serving.saved_model.write_saved_model", write)
    monkeypatch.setattr(formats, "run_file", run)
    monkeypatch.setattr(formats, "write_onnx", fail)
    with pytest.raises(UserError, match=r"cannot be written as onnx: no such operation: Foo$"):
        export(model, tmp_path / "m", "saved_model", "onnx")
    monkeypatch.setattr(formats, "write_onnx", lambda served, file: file.write_bytes(b"a file"))
    said = r"the onnx file's attention_conv13 differs .* more than 2e-03; nothing was exported"
    for runtime.shift in (3e-3, np.nan):
        with pytest.raises(UserError, match=said):
            export(model, tmp_path / "n", "saved_model", "onnx")
    assert list(tmp_path.iterdir()) == []
    runtime.shift = 1e-3
    export(model, tmp_path / "m", "saved_model", "onnx")
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["m/1/saved_model.pb", "m/m-1.onnx"]


def test_int8_is_small_close_and_honest_about_how_close(run_path, model, written, tmp_path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    folder, rng = tmp_path / "images", np.random.default_rng(0)
    folder.mkdir()
    for number in range(60):
        small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), "uint8"))
        small.resize((32, 32), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    [file] = export_run(run_path, tmp_path, formats=["litert"], quantize="int8", images=folder)
    assert file.path == tmp_path / "digits" / "digits-1-int8.tflite"
    _, held_out = representative_images(Run(run_path), model, folder)
    assert held_out.shape == (40, 32, 32, 3)
    litert = interpreter.Interpreter(model_path=str(file.path))
    assert set(litert.get_signature_list()) == {"serving_default", "classify"}
    found = litert.get_signature_runner("serving_default")(images=held_out)
    assert {value.dtype for value in found.values()} == {np.dtype("float32")}
    wanted = np.asarray(tempered(model(held_out.astype("float32"))["logits"]))
    agreeing = int((found["probabilities"].argmax(1) == wanted.argmax(1)).sum())
    assert file.agreement == (agreeing, 40) and agreeing >= 36
    difference = np.abs(found["probabilities"] - wanted).max()
    assert file.difference == pytest.approx(difference, abs=1e-5) and 1e-4 < difference < 0.2
    assert f"{agreeing} of 40 answers are the model's" in str(file)
    assert file.size < 0.6 * written["litert"].size


def test_images_for_int8_come_from_both_splits_of_the_run():
    run = SimpleNamespace(config=RunConfig.from_dict({"dataset": "cluttered_digits", "limit": 300}))
    ranges, held_out = representative_images(run, None, None)
    assert ranges.shape == (100, 32, 32, 3) and held_out.shape == (60, 32, 32, 3)
    held = {image.tobytes() for image in held_out}
    assert len(held) == 60 and not held & {image.tobytes() for image in ranges}


def test_answers_that_are_the_same():
    found = np.array([[0.6, 0.4], [0.2, 0.8], [0.5, 0.1]])
    wanted = np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.3]])
    cases = [("softmax", None, (2, 3)), ("sigmoid", [0.5, 0.3], (0, 3)), ("sigmoid", [0.1, 0.5], (2, 3))]
    for activation, thresholds, count in cases:
        model = SimpleNamespace(activation=activation, thresholds=thresholds)
        assert same_answers(found, wanted, model) == count, activation


def test_too_few_images_for_int8(run_path, tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="has 1 images that can be read; int8 needs 3"):
        export_run(run_path, tmp_path, formats=["litert"], quantize="int8", images=tmp_path)
