"""Exports: the Keras model's numbers in plain TensorFlow, any batch, and all that a version has in it."""

import hashlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.special import expit, softmax
from small_run import NAMES, TEMPERATURE, same, scatter
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from attention_keras import attend, build_model
from attention_keras.errors import UserError
from attention_keras.evaluation.predictions.answers import predict_files
from attention_keras.evaluation.subjects.predictor import KerasPredictor
from attention_keras.measures.maps import upsample
from attention_keras.models.evidence import combine_evidence, evidence_model
from attention_keras.models.outputs import evidence_maps
from attention_keras.models.parts import prune_dead_branch
from attention_keras.serving.export import export_model
from attention_keras.serving.versions import read_card


def share(difference, of):
    """The largest difference as a share of the largest number."""
    return np.abs(difference).max() / np.abs(of).max()


def centred(logits):
    return logits - logits.mean(-1, keepdims=True)


def test_numbers_are_those_of_the_keras_model(served, images, logits, expected):
    assert np.abs(expected["probabilities"] - softmax(logits, axis=-1)).max() > 0.05  # the temperature counts
    same(served["serving_default"](images=images), expected)
    same(served["classify"](images=images), {"probabilities": expected["probabilities"]})


def test_evidence_is_that_of_the_keras_model_and_adds_up(model, served, images, logits):
    """For every class; explain is explain_class for the class that is most likely."""
    wanted = {name: np.asarray(v) for name, v in evidence_model(model)(images.astype("float32")).items()}
    for asked in (np.array([2, 0, 1]), np.array([0, 1, 2]), logits.argmax(-1)):
        answers = served["explain_class"](images=images, classes=asked.astype("int32"))
        for tap, level in evidence_maps(wanted).items():
            of_class = np.moveaxis(level, -1, 1)[range(3), asked]
            full = answers[f"evidence_{tap}"]
            assert share(full - np.asarray(combine_evidence({tap: of_class}, (32, 32))), full) < 1e-5
        taps = answers["evidence_conv10"] + answers["evidence_conv13"]
        assert share(answers["evidence"] - taps, taps) < 1e-6
        total = answers["evidence"].astype("float64").sum((1, 2)) + answers["evidence_rest"]
        assert share(total - centred(logits)[range(3), asked], logits) < 1e-5
    explained = served["explain"](images=images)
    same(answers, {name: explained[name] for name in answers}, 1e-6)
    none = served["explain_class"](images=images, classes=np.array([-1, 3, 9], "int32"))
    assert not any(value.any() for name, value in none.items() if name.startswith("evidence"))


def test_the_batch_comes_first_in_every_output(served, images):
    png = tf.io.encode_png(images[0]).numpy()
    default = {"probabilities", "attention_conv10", "attention_conv13"}
    evidence = {"evidence", "evidence_conv10", "evidence_conv13", "evidence_rest"}
    for batch in (0, 1, 17):
        pixels, zeros = {"images": np.resize(images, (batch, 32, 32, 3))}, np.zeros(batch, "int32")
        asked = {
            "serving_default": (pixels, default),
            "classify": (pixels, {"probabilities"}),
            "explain": (pixels, {"attention", *default, *evidence}),
            "explain_class": (pixels | {"classes": zeros}, {*evidence, "probabilities"}),
            "serve_bytes": ({"image_bytes": np.array([png] * batch, object)}, {*default, "valid"}),
            "describe": ({"rows": zeros}, {"activation", "class_names", "resize"}),
        }
        assert served.keys() == asked.keys()
        for name, (inputs, outputs) in asked.items():
            found = served[name](**inputs)
            assert found.keys() == outputs and {value.shape[0] for value in found.values()} == {batch}, name


def test_explain_brings_maps_to_image_size(served, images, expected):
    answers, relative = served["explain"](images=images), []
    for name in ("attention_conv10", "attention_conv13"):
        np.testing.assert_allclose(answers[name], upsample(expected[name], (32, 32)), atol=1e-5)
        relative.append(answers[name] / answers[name].max(axis=(1, 2), keepdims=True))
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


def test_plain_tensorflow_loads_it_without_this_package(exported, served, images, tmp_path, fresh_process):
    asked = {"images": images, "classes": np.array([2, 0, 1], "int32")}
    np.savez(tmp_path / "data.npz", **asked, **served["explain_class"](**asked))
    fresh_process(PLAIN_TENSORFLOW, str(exported), str(tmp_path / "data.npz"), cwd=tmp_path)


def test_the_card(exported, model, tmp_path):
    card = read_card(exported)
    assert (card["dataset"], card["test_error"], card["classes"]) == ("cluttered_digits", 0.5, NAMES)
    assert (card["temperature"], card["resize"], card["precision"]) == (TEMPERATURE, "crop", "float32")
    assert card["input"] == {"shape": [32, 32, 3], "dtype": "uint8", "range": [0, 255]}
    assert 0.7 < card["parameters"] / model.count_params() < 0.8  # the dead branch is left out
    for name, function in tf.saved_model.load(str(exported)).signatures.items():
        said = card["signatures"][name]
        shapes = {key: value.shape.as_list() for key, value in function.structured_outputs.items()}
        assert {key: facts["shape"] for key, facts in said["outputs"].items()} == shapes
        assert said["inputs"].keys() == function.structured_input_signature[1].keys()
    assert (exported / "assets" / "labels.txt").read_text().splitlines() == NAMES
    files = [f for f in exported.rglob("*") if f.is_file() and f.name != "model_card.json"]
    digests = {str(f.relative_to(exported)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
    assert card["sha256"] == digests
    (tmp_path / "assets").mkdir()
    for content in (b"{", b"\xff", b"[" * 100_000, b"[]"):
        (tmp_path / "assets" / "model_card.json").write_bytes(content)
        with pytest.raises(UserError, match=r"cannot read .*model_card\.json"):
            read_card(tmp_path)


def test_weights_and_network_are_stored_once_and_warm_up_requests_can_be_replayed(exported, model, served):
    stored = sum(file.stat().st_size for file in (exported / "variables").iterdir())
    parameters = read_card(exported)["parameters"]
    assert 4 * parameters < stored < 4 * parameters + 50_000
    graph = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes()).meta_graphs[0]
    convolutions = [[n.op for n in f.node_def].count("Conv2D") for f in graph.graph_def.library.function]
    wanted = sum(isinstance(layer, keras.layers.Conv2D) for layer in prune_dead_branch(model).layers)
    assert [count for count in convolutions if count] == [wanted]
    path = exported / "assets.extra" / "tf_serving_warmup_requests"
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    requests = [prediction_log_pb2.PredictionLog.FromString(r).predict_log.request for r in records]
    assert sorted(request.model_spec.signature_name for request in requests) == sorted(served)
    for request in requests:
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        outputs = served[request.model_spec.signature_name](**inputs)
        assert {value.shape[0] for value in outputs.values()} == {1}


def test_a_sigmoid_is_served_and_predicted_as_one(tmp_path):
    """Tags of grey images; a softmax of one logit would be 1 for every image."""
    grey = np.random.default_rng(3).integers(0, 256, (2, 16, 16, 1), dtype="uint8")
    Image.fromarray(np.repeat(grey[0], 3, axis=-1)).save(tmp_path / "a.png")
    inputs = keras.Input((16, 16, 1))
    backbone = keras.Model(inputs, keras.layers.Conv2D(4, 3, 2, name="map")(inputs))
    model = attend(backbone, ["map"], 1)
    model.activation = "softmax"
    with pytest.raises(UserError, match="one logit, whose softmax is 1 for every image"):
        export_model(model, tmp_path, class_names=["yes"], card={})
    model = scatter(attend(backbone, ["map"], 3, activation="sigmoid"))
    logits = np.asarray(model(grey.astype("float32"))["logits"])
    [answer] = predict_files(KerasPredictor(model), [tmp_path / "a.png"])
    np.testing.assert_allclose(answer.probabilities, expit(logits[0]), atol=1e-5)
    with pytest.raises(UserError, match="3 classes, but there are 2 names"):
        export_model(model, tmp_path / "tags", class_names=NAMES[:2], card={})
    [written] = export_model(model, tmp_path / "tags", class_names=NAMES, card={}, temperature=2.0)
    found = tf.saved_model.load(str(written.path)).signatures["classify"](images=grey)["probabilities"]
    np.testing.assert_allclose(found, expit(logits / 2), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "family", ["vgg", "vgg-gap", "vgg-pan", "vgg-att3-indep-pc", "rn164-att2-concat-dp", "MobileNetV2"]
)
def test_every_family_keeps_its_numbers(family, images, tmp_path):
    if family == "MobileNetV2":
        shape = {"include_top": False, "weights": None, "input_shape": (32, 32, 3), "alpha": 0.35}
        taps = ["block_6_expand_relu", "block_13_expand_relu"]
        model = scatter(attend(keras.applications.MobileNetV2(**shape), taps, num_classes=3))
    else:
        model = scatter(build_model(family, num_classes=3, width=0.05))
    [written] = export_model(model, tmp_path / "m", class_names=NAMES, card={})
    served = tf.saved_model.load(str(written.path)).signatures
    outputs = {name: np.asarray(v) for name, v in model(images.astype("float32")).items()}
    wanted = {name: value for name, value in outputs.items() if name.startswith("attention")}
    wanted["probabilities"] = softmax(outputs["logits"], axis=-1)
    same(served["serving_default"](images=images), wanted)
    assert "explain_class" in served
    predicted = outputs["logits"].argmax(-1)
    levels = outputs["level_logits"] if "indep" in family else outputs["logits"][:, None]
    wanted = centred(levels)[range(len(images)), :, predicted].sum(-1)
    explained = {name: value.numpy() for name, value in served["explain"](images=images).items()}
    total = explained["evidence"].sum((1, 2)) + explained["evidence_rest"]
    assert share(total - wanted, wanted) < 1e-4
