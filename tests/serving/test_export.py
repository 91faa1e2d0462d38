"""Exports: the Keras model's numbers in plain TensorFlow, any batch, and all that a version has in it."""

import hashlib
import subprocess
import sys
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.special import expit, softmax
from small_run import NAMES, TEMPERATURE, scatter
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from attention_keras import attend, build_model
from attention_keras.errors import UserError
from attention_keras.evaluation.predictions.answers import predict_files
from attention_keras.evaluation.subjects.predictor import KerasPredictor
from attention_keras.measures.maps import upsample
from attention_keras.models.parts import prune_dead_branch
from attention_keras.serving.card import read_card
from attention_keras.serving.export import export_model


def check(answers, wanted, tolerance=1e-5):
    assert answers.keys() == wanted.keys()
    for name, value in answers.items():
        np.testing.assert_allclose(value, wanted[name], atol=tolerance, err_msg=name)


def test_signatures_and_names(exported):
    signatures = tf.saved_model.load(str(exported)).signatures
    names = {name: sorted(function.structured_outputs) for name, function in signatures.items()}
    maps = ["attention_conv10", "attention_conv13"]
    evidence = ["evidence", "evidence_conv10", "evidence_conv13", "evidence_rest"]
    assert names == {
        "serving_default": [*maps, "probabilities"],
        "classify": ["probabilities"],
        "explain": sorted(["attention", *maps, *evidence, "probabilities"]),
        "explain_class": [*evidence, "probabilities"],
        "serve_bytes": [*maps, "probabilities", "valid"],
        "describe": ["activation", "class_names", "resize"],
    }


def test_numbers_are_those_of_the_keras_model(served, images, logits, expected):
    assert np.abs(expected["probabilities"] - softmax(logits, axis=-1)).max() > 0.05  # the temperature counts
    check(served["serving_default"](images=images), expected)
    check(served["classify"](images=images), {"probabilities": expected["probabilities"]})


def test_the_batch_comes_first_in_every_output(served, images):
    png = tf.io.encode_png(images[0]).numpy()
    for batch in (0, 1, 17):
        pixels, zeros = np.resize(images, (batch, 32, 32, 3)), np.zeros(batch, "int32")
        for name, inputs in {
            "serving_default": {"images": pixels},
            "classify": {"images": pixels},
            "explain": {"images": pixels},
            "explain_class": {"images": pixels, "classes": zeros},
            "serve_bytes": {"image_bytes": np.array([png] * batch, object)},
            "describe": {"rows": zeros},
        }.items():
            assert {value.shape[0] for value in served[name](**inputs).values()} == {batch}, name


def test_explain_brings_maps_to_image_size(served, images, expected):
    answers = served["explain"](images=images)
    relative = []
    for tap in ("conv10", "conv13"):
        enlarged = answers[f"attention_{tap}"]
        for ours, theirs in zip(expected[f"attention_{tap}"], enlarged, strict=True):
            np.testing.assert_allclose(theirs, upsample(ours, (32, 32)), atol=1e-5)
        relative.append(enlarged / enlarged.max(axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(answers["attention"], np.sqrt(relative[0] * relative[1]), atol=1e-4)


PLAIN_TENSORFLOW = """
import sys
sys.modules["attention_keras"] = sys.modules["keras"] = None  # neither can be imported
import numpy as np, tensorflow as tf
data = dict(np.load(sys.argv[2]))
loaded = tf.saved_model.load(sys.argv[1])
answers = loaded.signatures["explain_class"](images=data.pop("images"), classes=data.pop("classes"))
assert answers.keys() == data.keys()
for name, value in answers.items():
    np.testing.assert_allclose(value, data[name], atol=1e-5)
"""


def test_plain_tensorflow_loads_it_without_this_package(exported, served, images, tmp_path):
    asked = {"images": images, "classes": np.array([2, 0, 1], "int32")}
    np.savez(tmp_path / "data.npz", **asked, **served["explain_class"](**asked))
    command = [sys.executable, "-c", PLAIN_TENSORFLOW, str(exported), str(tmp_path / "data.npz")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_card(exported, model):
    card = read_card(exported)
    assert (card["dataset"], card["test_error"], card["classes"]) == ("cluttered_digits", 0.5, NAMES)
    assert (card["temperature"], card["resize"], card["precision"]) == (TEMPERATURE, "crop", "float32")
    assert card["input"] == {"shape": [32, 32, 3], "dtype": "uint8", "range": [0, 255]}
    assert card["versions"]["tensorflow"] == tf.__version__ and "evidence_rest" in card["evidence"]
    assert 0.7 < card["parameters"] / model.count_params() < 0.8  # the dead branch is left out
    signatures = tf.saved_model.load(str(exported)).signatures
    for name, function in signatures.items():
        said = card["signatures"][name]
        shapes = {key: value.shape.as_list() for key, value in function.structured_outputs.items()}
        assert {key: facts["shape"] for key, facts in said["outputs"].items()} == shapes
        assert said["inputs"].keys() == function.structured_input_signature[1].keys()
    files = {str(file.relative_to(exported)): file for file in exported.rglob("*") if file.is_file()}
    files.pop("assets/model_card.json")
    digests = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
    assert card["sha256"] == digests
    assert files["assets/labels.txt"].read_text().splitlines() == NAMES


def test_a_card_that_cannot_be_read_is_one_line(tmp_path):
    assert read_card(tmp_path) == {}
    (tmp_path / "assets").mkdir()
    for content in (b"{", b"\xff", b"[" * 100_000, b"[]"):
        (tmp_path / "assets" / "model_card.json").write_bytes(content)
        with pytest.raises(UserError, match=r"cannot read .*model_card\.json"):
            read_card(tmp_path)


def test_weights_and_network_are_stored_once(exported, model):
    stored = sum(file.stat().st_size for file in (exported / "variables").iterdir())
    parameters = read_card(exported)["parameters"]
    assert 4 * parameters < stored < 4 * parameters + 50_000
    content = (exported / "saved_model.pb").read_bytes()
    functions = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].graph_def.library.function
    convolutions = [sum(node.op == "Conv2D" for node in function.node_def) for function in functions]
    layers = prune_dead_branch(model).layers
    wanted = sum(isinstance(layer, keras.layers.Conv2D) for layer in layers)
    assert [count for count in convolutions if count] == [wanted]
    assert b"/tmp" not in content


def test_warm_up_requests_are_small_and_can_be_replayed(exported, served):
    path = exported / "assets.extra" / "tf_serving_warmup_requests"
    assert path.stat().st_size < 1500
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    requests = [prediction_log_pb2.PredictionLog.FromString(r).predict_log.request for r in records]
    assert sorted(request.model_spec.signature_name for request in requests) == sorted(served)
    for request in requests:
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        outputs = served[request.model_spec.signature_name](**inputs)
        assert {value.shape[0] for value in outputs.values()} == {1}


def test_what_cannot_be_exported_is_one_line(model, tmp_path):
    with pytest.raises(UserError, match="3 classes, but there are 2 names"):
        export_model(model, tmp_path / "m", class_names=NAMES[:2], card={})
    assert list(tmp_path.iterdir()) == []


def test_a_sigmoid_is_served_and_predicted_as_one(tmp_path):
    """One logit of grey images, and tags; a softmax of one logit would be 1 for every image."""
    grey = np.random.default_rng(3).integers(0, 256, (2, 16, 16, 1), dtype="uint8")
    Image.fromarray(np.repeat(grey[0], 3, axis=-1)).save(tmp_path / "a.png")
    inputs = keras.Input((16, 16, 1))
    backbone = keras.Model(inputs, keras.layers.Conv2D(4, 3, 2, name="map")(inputs))
    model = attend(backbone, ["map"], 1)
    model.activation = "softmax"
    with pytest.raises(UserError, match="one logit, whose softmax is 1 for every image"):
        export_model(model, tmp_path, class_names=["yes"], card={})
    for k in (1, 3):
        model = scatter(attend(backbone, ["map"], k, activation="sigmoid"))
        logits = np.asarray(model(grey.astype("float32"))["logits"])
        [answer] = predict_files(KerasPredictor(model), [tmp_path / "a.png"])
        np.testing.assert_allclose(answer.probabilities, expit(logits[0]), atol=1e-5)
        found = answer.explanation
        assert found.images.shape == (1, 16, 16, 1) and found.total.shape == (1, 16, 16)
        assert found.draw(0).shape[2] == 3
    [written] = export_model(model, tmp_path / "tags", class_names=NAMES, card={}, temperature=2.0)
    found = tf.saved_model.load(str(written.path)).signatures["classify"](images=grey)["probabilities"]
    np.testing.assert_allclose(found, expit(logits / 2), atol=1e-5)


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


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_keeps_its_numbers(family, images, tmp_path):
    model = scatter(FAMILIES[family]())
    [written] = export_model(model, tmp_path / "m", class_names=NAMES, card={})
    served = tf.saved_model.load(str(written.path)).signatures
    outputs = {name: np.asarray(v) for name, v in model(images.astype("float32")).items()}
    wanted = {name: value for name, value in outputs.items() if name.startswith("attention")}
    wanted["probabilities"] = softmax(outputs["logits"], axis=-1)
    check(served["serving_default"](images=images), wanted)
    explained = served["explain"](images=images)
    assert "explain_class" in served
    predicted = outputs["logits"].argmax(-1)
    levels = outputs["level_logits"] if "indep" in family else outputs["logits"][:, None]
    centred = (levels - levels.mean(-1, keepdims=True))[range(len(images)), :, predicted].sum(-1)
    total = explained["evidence"].numpy().sum((1, 2)) + explained["evidence_rest"].numpy()
    np.testing.assert_allclose(total, centred, atol=1e-4 * np.abs(centred).max())
