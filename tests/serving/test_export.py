"""Exports: the same numbers in plain TensorFlow, any batch, any bytes, and never half a version."""

import hashlib
import io
import json
import resource
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from attention_keras import attend, build_model
from attention_keras.commands.command_line import exit_code
from attention_keras.commands.export import main
from attention_keras.errors import UserError
from attention_keras.runs.directory import Run
from attention_keras.runs.options import TrainOptions
from attention_keras.serving.export import export_model, newest_version
from attention_keras.serving.versions import publish, refuse_taken, unfinished_version, versions

NAMES = ["zero", "one", "two"]
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype="uint8")


@pytest.fixture(scope="module")
def served(exported):
    return tf.saved_model.load(str(exported)).signatures


def encoded(image, mode="RGB", kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(image).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def test_signatures_and_names(served):
    names = {name: sorted(function.structured_outputs) for name, function in served.items()}
    maps = ["attention_conv10", "attention_conv13"]
    assert names == {
        "serving_default": [*maps, "probabilities"],
        "classify": ["probabilities"],
        "explain": ["attention", *maps, "probabilities"],
        "serve_bytes": [*maps, "probabilities", "valid"],
    }


def test_numbers_are_those_of_the_keras_model(served, expected):
    for name, value in served["serving_default"](images=IMAGES).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)
    np.testing.assert_allclose(
        served["classify"](images=IMAGES)["probabilities"], expected["probabilities"], atol=1e-5
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_model_of_low_precision_keeps_its_numbers(policy, tmp_path):
    """The graph computes in the trained precision: in float32 it would be 1e-3 to 1e-2 away."""
    keras.config.set_dtype_policy(policy)
    model = build_model("vgg-att2-concat-pc", num_classes=3, width=0.05)
    kernel = model.get_layer("classifier").kernel
    kernel.assign(30 * kernel)  # far from equal probabilities, which would hide differences
    directory = export_model(model, tmp_path / "m", class_names=NAMES, card={})
    outputs = model.predict(IMAGES.astype("float32"), verbose=0)
    answers = tf.saved_model.load(str(directory)).signatures["serving_default"](images=IMAGES)
    np.testing.assert_allclose(answers["probabilities"], tf.nn.softmax(outputs["logits"]), atol=1e-5)
    np.testing.assert_allclose(answers["attention_conv13"], outputs["attention_conv13"], atol=1e-5)
    assert {value.dtype for value in answers.values()} == {tf.float32}


@pytest.mark.parametrize("batch", [0, 1, 3, 17])
def test_any_batch_size_comes_first_in_every_output(served, batch):
    images = np.resize(IMAGES, (batch, 32, 32, 3))
    files = tf.constant([encoded(image) for image in images], tf.string, shape=(batch,))
    for name, inputs in {
        "serving_default": {"images": images},
        "classify": {"images": images},
        "explain": {"images": images},
        "serve_bytes": {"image_bytes": files},
    }.items():
        assert {value.shape[0] for value in served[name](**inputs).values()} == {batch}


def test_explain_brings_maps_to_image_size(served, expected):
    answers = served["explain"](images=IMAGES)
    assert answers["attention_conv13"].shape == (3, 32, 32)
    from attention_keras.drawing.maps import upsample

    for ours, theirs in zip(expected["attention_conv13"], answers["attention_conv13"]):
        np.testing.assert_allclose(theirs, upsample(ours, (32, 32)), atol=1e-5)
    relative = [
        m / m.numpy().max(axis=(1, 2), keepdims=True)
        for m in (answers["attention_conv10"], answers["attention_conv13"])
    ]
    np.testing.assert_allclose(answers["attention"], np.sqrt(relative[0] * relative[1]), atol=1e-4)


def test_png_bytes_are_the_same_as_pixels(served, expected):
    answers = served["serve_bytes"](image_bytes=tf.constant([encoded(image) for image in IMAGES]))
    assert answers["valid"].numpy().all()
    np.testing.assert_allclose(answers["probabilities"], expected["probabilities"], atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("RGB", "JPEG"),
        ("L", "PNG"),
        ("RGBA", "PNG"),
        ("CMYK", "JPEG"),
        ("P", "PNG"),
        ("RGB", "BMP"),
        ("P", "GIF"),
    ],
)
def test_image_files_of_many_kinds_and_sizes(served, mode, kind):
    large = np.kron(IMAGES[0], np.ones((3, 2, 1), "uint8"))
    answers = served["serve_bytes"](image_bytes=tf.constant([encoded(large, mode, kind)]))
    assert answers["valid"].numpy().tolist() == [True]
    assert float(tf.reduce_sum(answers["probabilities"])) == pytest.approx(1, abs=1e-5)


def test_what_is_no_image_does_not_fail_its_neighbours(served, expected):
    whole = encoded(IMAGES[1])
    files = [b"", b"hello", whole, whole[:300], encoded(IMAGES[0], kind="JPEG")[:200]]
    answers = served["serve_bytes"](image_bytes=tf.constant(files))
    assert answers["valid"].numpy().tolist() == [False, False, True, False, False]
    np.testing.assert_allclose(answers["probabilities"][2], expected["probabilities"][1], atol=1e-5)
    assert float(tf.reduce_sum(tf.gather(answers["probabilities"], [0, 1, 3, 4]))) == 0


PLAIN_TENSORFLOW = """
import sys
class NoPackage:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "attention_keras":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoPackage())
import numpy as np, tensorflow as tf
data = np.load(sys.argv[2])
answers = tf.saved_model.load(sys.argv[1]).signatures["serving_default"](images=data["images"])
for name, value in answers.items():
    np.testing.assert_allclose(value, data[name], atol=1e-5)
"""


def test_plain_tensorflow_loads_it_without_this_package(exported, expected, tmp_path):
    np.savez(tmp_path / "data.npz", images=IMAGES, **expected)
    command = [sys.executable, "-c", PLAIN_TENSORFLOW, str(exported), str(tmp_path / "data.npz")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


def test_card_labels_and_a_pruned_graph(exported, model):
    assert (exported / "assets" / "labels.txt").read_text().splitlines() == NAMES
    card = json.loads((exported / "assets" / "model_card.json").read_text())
    assert (card["dataset"], card["test_error"], card["classes"]) == ("digits", 0.5, NAMES)
    assert card["input"] == {"shape": [32, 32, 3], "dtype": "uint8", "range": [0, 255]}
    assert card["versions"]["tensorflow"] == tf.__version__
    assert 0.7 < card["parameters"] / model.count_params() < 0.8


def test_the_card_has_a_checksum_for_every_other_file(exported):
    checksums = json.loads((exported / "assets" / "model_card.json").read_text())["sha256"]
    files = {str(f.relative_to(exported)) for f in exported.rglob("*") if f.is_file()}
    assert checksums.keys() == files - {"assets/model_card.json"}
    for name, checksum in checksums.items():
        assert hashlib.sha256((exported / name).read_bytes()).hexdigest() == checksum


def test_weights_and_network_are_stored_once(exported, model):
    card = json.loads((exported / "assets" / "model_card.json").read_text())
    stored = sum(file.stat().st_size for file in (exported / "variables").iterdir())
    assert 4 * card["parameters"] < stored < 4 * card["parameters"] + 50_000
    graph = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    functions = graph.meta_graphs[0].graph_def.library.function
    convolutions = [f.signature.name for f in functions if any(n.op == "Conv2D" for n in f.node_def)]
    assert len(convolutions) == 1
    assert b"/tmp" not in (exported / "saved_model.pb").read_bytes()


def test_warm_up_requests_can_be_replayed(exported, served):
    from tensorflow_serving.apis import prediction_log_pb2

    path = exported / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(path))
    ]
    requests = [log.predict_log.request for log in logs]
    assert {request.model_spec.signature_name for request in requests} == set(served)
    for request in requests:
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        served[request.model_spec.signature_name](**{k: tf.constant(v) for k, v in inputs.items()})


def test_version_numbers_go_on_from_the_highest(model, tmp_path):
    for name in ("2", "11", "junk", "3.tmp", ".unfinished-x"):
        (tmp_path / name).mkdir()
    assert export_model(model, tmp_path, class_names=NAMES, card={}).name == "12"
    assert list(versions(tmp_path)) == [2, 11, 12]
    assert newest_version(tmp_path) == tmp_path / "12"
    with pytest.raises(UserError, match="exists already"):
        export_model(model, tmp_path, class_names=NAMES, card={}, version=12)


def poll_while_exporting(model, directory, count):
    """Every version that a reader polling at about 1 kHz ever saw incomplete."""
    seen, incomplete, done = set(), [], threading.Event()

    def poll():
        while not done.is_set():
            for number in versions(directory):
                path = directory / str(number)
                files = {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}
                wanted = {"saved_model.pb", "assets/labels.txt", "assets.extra/tf_serving_warmup_requests"}
                if not wanted <= files:
                    incomplete.append((number, files))
                seen.add(number)
            time.sleep(0.001)

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        for _ in range(count):
            export_model(model, directory, class_names=NAMES, card={})
    finally:
        time.sleep(0.05)
        done.set()
        reader.join()
    assert seen == set(range(1, count + 1))
    return incomplete


def test_a_polling_reader_never_sees_half_a_version(model, tmp_path):
    assert poll_while_exporting(model, tmp_path, 2) == []


@pytest.mark.slow
def test_a_polling_reader_never_sees_half_a_version_in_twenty_exports(model, tmp_path):
    assert poll_while_exporting(model, tmp_path, 20) == []


def test_exporters_at_the_same_time_take_different_numbers(tmp_path):
    def export(number):
        with unfinished_version(tmp_path) as unfinished:
            (unfinished / "who").write_text(str(number))
            return publish(unfinished, tmp_path, None)

    with ThreadPoolExecutor(8) as pool:
        published = list(pool.map(export, range(64)))
    assert sorted(versions(tmp_path)) == list(range(1, 65))
    assert [(path / "who").read_text() for path in published] == [str(number) for number in range(64)]


def test_version_names_are_read_as_tf_serving_reads_them(tmp_path):
    for name in ("1", "007", "٣", "1.5", "-2", str(2**63), "5x"):
        (tmp_path / name).mkdir()
    assert versions(tmp_path) == {1: tmp_path / "1", 7: tmp_path / "007"}
    assert newest_version(tmp_path) == tmp_path / "007"
    assert newest_version(tmp_path / "5x") is None
    with pytest.raises(UserError, match="007 exists already"):
        refuse_taken(tmp_path, 7)
    with pytest.raises(UserError, match="number from 0"):
        refuse_taken(tmp_path, -2)


def test_where_nothing_can_be_written_nothing_is_left(model, tmp_path):
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "m", Path("/proc/exports/m")):
        with pytest.raises(UserError, match=r"cannot write to .*; nothing was exported"):
            export_model(model, directory, class_names=NAMES, card={})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_nothing(model, tmp_path):
    """The system refuses files beyond 100 kB, as a full disk would."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, unlimited[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write to .*; nothing was exported"):
            export_model(model, tmp_path / "exports" / "m", class_names=NAMES, card={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert list(tmp_path.iterdir()) == []


def test_names_must_fit_the_model(model, tmp_path):
    with pytest.raises(UserError, match="3 classes, but there are 2 names"):
        export_model(model, tmp_path / "m", class_names=NAMES[:2], card={})


def test_the_command_line(model, tmp_path, capsys):
    run = tmp_path / "runs" / "digits"
    run.mkdir(parents=True)
    model.save(run / "model.keras")
    options = TrainOptions()
    with Run(run).writing(options.resolve(), options.machine):
        pass
    command = [str(run), "--to", str(tmp_path / "out")]

    def export():
        return exit_code(lambda: main(command, "attention-keras export"))

    assert export() == 2
    assert "is not a finished run" in capsys.readouterr().err
    (run / "metrics.json").write_text('{"test_error": 0.25}')
    (run / "labels.txt").write_text("\n".join(NAMES))
    for version in ("1", "4"):
        assert export() == 0
        assert capsys.readouterr().out == f"exported to {tmp_path}/out/digits/{version}\n"
        command[3:] = ["--version", "4"]
    assert export() == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "4 exists already" in said


def mobilenet():
    backbone = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(32, 32, 3), alpha=0.35
    )
    return attend(backbone, ["block_6_expand_relu", "block_13_expand_relu"], num_classes=3)


FAMILIES = {
    "vgg": partial(build_model, "vgg", num_classes=3, width=0.05),
    "vgg-gap": partial(build_model, "vgg-gap", num_classes=3, width=0.05),
    "vgg-pan": partial(build_model, "vgg-pan", num_classes=3, width=0.05),
    "vgg-att3-indep-pc": partial(build_model, "vgg-att3-indep-pc", num_classes=3, width=0.05),
    "rn164-att2-concat-dp": partial(build_model, "rn164-att2-concat-dp", num_classes=3, width=0.05),
    "mobilenet": mobilenet,
}
LARGE = ("rn164-att2-concat-dp", "mobilenet")


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in FAMILIES]
)
def test_every_family_keeps_its_numbers(family, tmp_path):
    model = FAMILIES[family]()
    classifiers = [layer for layer in model.layers if hasattr(layer, "kernel") and "classifier" in layer.name]
    for layer in classifiers:
        layer.kernel.assign(10 * layer.kernel)  # far from equal probabilities, which would hide differences
    directory = export_model(model, tmp_path / "m", class_names=NAMES, card={})
    outputs = model.predict(IMAGES.astype("float32"), verbose=0)
    answers = tf.saved_model.load(str(directory)).signatures["serving_default"](images=IMAGES)
    assert classifiers and answers.keys() == {"probabilities"} | {n for n in outputs if "attention" in n}
    np.testing.assert_allclose(answers["probabilities"], tf.nn.softmax(outputs["logits"]), atol=1e-5)
    for key in answers.keys() - {"probabilities"}:
        np.testing.assert_allclose(answers[key], outputs[key], atol=1e-5)
