"""Exports: the same numbers in plain TensorFlow, any batch, any bytes, and never half a version."""

import hashlib
import io
import json
import subprocess
import sys
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from attention_keras import attend, build_model
from attention_keras.errors import UserError
from attention_keras.serving.export import export_model

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
    evidence = ["evidence", "evidence_conv10", "evidence_conv13", "evidence_rest"]
    assert names == {
        "serving_default": [*maps, "probabilities"],
        "classify": ["probabilities"],
        "explain": sorted(["attention", *maps, *evidence, "probabilities"]),
        "explain_class": [*evidence, "probabilities"],
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
        "explain_class": {"images": images, "classes": np.zeros(batch, "int32")},
        "serve_bytes": {"image_bytes": files},
    }.items():
        assert {value.shape[0] for value in served[name](**inputs).values()} == {batch}


def test_explain_brings_maps_to_image_size(served, expected):
    answers = served["explain"](images=IMAGES)
    assert answers["attention_conv13"].shape == (3, 32, 32)
    from attention_keras.measures.maps import upsample

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


def test_names_must_fit_the_model(model, tmp_path):
    with pytest.raises(UserError, match="3 classes, but there are 2 names"):
        export_model(model, tmp_path / "m", class_names=NAMES[:2], card={})


def test_one_logit_has_no_probability(tmp_path):
    images = keras.Input((8, 8, 3))
    backbone = keras.Model(images, keras.layers.Conv2D(4, 3, name="early")(images))
    with pytest.raises(UserError, match="one logit, and probabilities are a softmax"):
        export_model(attend(backbone, ["early"], 1), tmp_path / "m", class_names=["yes"], card={})


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
