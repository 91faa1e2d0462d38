"""Evidence through a SavedModel: the Keras model's numbers, and they add up to the answer."""

import json
import subprocess
import sys
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from attention_keras import attend, build_model
from attention_keras.heads import PaperHead
from attention_keras.models.evidence import combine_evidence, evidence_model
from attention_keras.models.outputs import evidence_maps
from attention_keras.models.prune import prune_dead_branch
from attention_keras.serving.export import export_model

NAMES = ["zero", "one", "two"]
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype="uint8")


def scattered(model):
    """Weights of classifier and heads far from where they begin, as after training."""
    rng = np.random.default_rng(1)
    for variable in model.weights:
        if "classifier" in variable.path or "head" in variable.path:
            shift = rng.normal(0, 0.5, variable.shape)
            variable.assign(variable + (np.abs(shift) if "variance" in variable.path else shift))
    return model


def export(model, folder):
    directory = export_model(model, folder / "m", class_names=NAMES, card={})
    return directory, tf.saved_model.load(str(directory)).signatures


def arrays(outputs):
    return {name: np.asarray(value) for name, value in outputs.items()}


def share(difference, of):
    """The largest difference as a share of the largest number."""
    return np.abs(difference).max() / np.abs(of).max()


@pytest.fixture(scope="module")
def evident():
    return scattered(build_model("vgg-att2-concat-pc", num_classes=3, width=0.05))


@pytest.fixture(scope="module")
def exported_evident(evident, tmp_path_factory):
    return export(evident, tmp_path_factory.mktemp("evident"))


def centred(logits):
    return logits - logits.mean(-1, keepdims=True)


def test_numbers_are_those_of_the_keras_model(evident, exported_evident):
    """For every class; explain is explain_class for the class that is most likely."""
    _, served = exported_evident
    wanted = arrays(evidence_model(evident).predict(IMAGES.astype("float32"), verbose=0))
    predicted = wanted["logits"].argmax(-1)
    for asked in [np.full(3, k) for k in range(3)] + [np.array([2, 0, 1]), predicted]:
        answers = arrays(served["explain_class"](images=IMAGES, classes=asked.astype("int32")))
        each = range(3), asked
        for tap, level in evidence_maps(wanted).items():
            of_class = np.moveaxis(level, -1, 1)[each]
            full = answers[f"evidence_{tap}"]
            assert full.shape == (3, 32, 32)
            assert share(full - np.asarray(combine_evidence({tap: of_class}, (32, 32))), full) < 1e-5
            # Enlarged, a map has the sum that it had.
            assert share(full.sum((1, 2)) - of_class.sum((1, 2)), of_class.sum((1, 2))) < 1e-5
        assert share(answers["evidence_rest"] - wanted["evidence_rest"][each], wanted["evidence_rest"]) < 1e-5
    explained = arrays(served["explain"](images=IMAGES))
    for name in answers:
        np.testing.assert_allclose(explained[name], answers[name], atol=1e-6)


def test_evidence_and_rest_add_up_to_the_logit(evident, exported_evident):
    _, served = exported_evident
    logits = centred(evident.predict(IMAGES.astype("float32"), verbose=0)["logits"])
    assert np.abs(logits).max() > 0.1
    explained = arrays(served["explain"](images=IMAGES))
    taps = explained["evidence_conv10"] + explained["evidence_conv13"]
    assert share(explained["evidence"] - taps, taps) < 1e-6
    total = explained["evidence"].astype("float64").sum((1, 2)) + explained["evidence_rest"]
    assert share(total - logits.max(-1), logits) < 1e-5
    # Of what the server sends alone: a softmax knows its logits up to a constant.
    from_answer = centred(np.log(explained["probabilities"])).max(-1)
    assert share(total - from_answer, logits) < 1e-5


def test_a_model_of_low_precision_keeps_its_evidence(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = scattered(build_model("vgg-att1-pc", num_classes=3, width=0.05))
    _, served = export(model, tmp_path)
    wanted = arrays(evidence_model(model, "predicted").predict(IMAGES.astype("float32"), verbose=0))
    full = np.asarray(combine_evidence(evidence_maps(wanted), (32, 32)))
    explained = served["explain"](images=IMAGES)
    assert {value.dtype for value in explained.values()} == {tf.float32}
    assert share(explained["evidence"] - full, full) < 1e-4


def test_a_class_that_is_not_there_has_no_evidence(exported_evident):
    _, served = exported_evident
    answers = arrays(served["explain_class"](images=IMAGES, classes=np.array([3, -1, 1], "int32")))
    for name in ("evidence", "evidence_conv10", "evidence_conv13", "evidence_rest"):
        assert not answers[name][:2].any() and answers[name][2].any()
    np.testing.assert_allclose(answers["probabilities"].sum(-1), 1, atol=1e-5)


def test_one_image_alone_has_the_same_evidence(exported_evident):
    _, served = exported_evident
    several = arrays(served["explain"](images=IMAGES))
    alone = arrays(served["explain"](images=IMAGES[1:2]))
    for name, value in alone.items():
        np.testing.assert_allclose(value, several[name][1:2], atol=1e-5)


def test_weights_and_network_are_stored_once(exported_evident):
    directory, _ = exported_evident
    card = json.loads((directory / "assets" / "model_card.json").read_text())
    stored = sum(file.stat().st_size for file in (directory / "variables").iterdir())
    assert stored < 4 * card["parameters"] + 50_000
    graph = saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    functions = graph.meta_graphs[0].graph_def.library.function
    convolutions = [sum(n.op == "Conv2D" for n in f.node_def) for f in functions]
    layers = prune_dead_branch(build_model("vgg-att2-concat-pc", num_classes=3, width=0.05)).layers
    wanted = sum(isinstance(layer, keras.layers.Conv2D) for layer in layers)
    assert [count for count in convolutions if count] == [wanted]


def test_the_card_lists_signatures_and_explains_evidence(exported_evident, tmp_path):
    directory, served = exported_evident
    card = json.loads((directory / "assets" / "model_card.json").read_text())
    assert card["signatures"].keys() == served.keys()
    for name, function in served.items():
        outputs = {key: value.shape.as_list() for key, value in function.structured_outputs.items()}
        assert {key: facts["shape"] for key, facts in card["signatures"][name]["outputs"].items()} == outputs
        assert card["signatures"][name]["inputs"].keys() == function.structured_input_signature[1].keys()
    assert card["signatures"]["explain_class"]["inputs"] == {
        "images": {"dtype": "uint8", "shape": [None, 32, 32, 3]},
        "classes": {"dtype": "int32", "shape": [None]},
    }
    assert "evidence_rest" in card["evidence"]


def test_a_network_without_evidence_is_exported_without(tmp_path):
    model = build_model("vgg-hires", num_classes=3, width=0.05)
    directory, served = export(model, tmp_path)
    assert set(served) == {"serving_default", "classify", "explain", "serve_bytes"}
    assert set(served["explain"](images=IMAGES)) == {"probabilities"}
    card = json.loads((directory / "assets" / "model_card.json").read_text())
    assert card["signatures"].keys() == served.keys() and card["evidence"].startswith("None")


def small(size, head="linear"):
    images = keras.Input((size, size, 3), name="images")
    x = keras.layers.Rescaling(1 / 255)(images)
    for index, channels in enumerate((6, 8)):
        x = keras.layers.Conv2D(channels, 3, 2, padding="same")(x)
        x = keras.layers.Activation("swish", name=f"map{index}")(x)
    return scattered(attend(keras.Model(images, x), ["map0", "map1"], 3, head=head))


def test_with_a_classifier_for_each_level_the_rest_is_of_all_levels(tmp_path):
    model = small(32, head=PaperHead(aggregate="indep"))
    _, served = export(model, tmp_path)
    outputs = model.predict(IMAGES.astype("float32"), verbose=0)
    predicted = outputs["logits"].argmax(-1)
    wanted = centred(outputs["level_logits"])[range(3), :, predicted].sum(-1)
    explained = arrays(served["explain"](images=IMAGES))
    assert explained["evidence_rest"].shape == (3,)
    assert share(explained["evidence"].sum((1, 2)) + explained["evidence_rest"] - wanted, wanted) < 1e-5


def test_average_pooling_alone_has_evidence_without_attention(tmp_path):
    model = scattered(build_model("vgg-gap", num_classes=3, width=0.05))
    _, served = export(model, tmp_path)
    explained = arrays(served["explain"](images=IMAGES))
    assert not [name for name in explained if name.startswith("attention")]
    logits = centred(model.predict(IMAGES.astype("float32"), verbose=0)["logits"])
    total = explained["evidence"].sum((1, 2)) + explained["evidence_rest"]
    assert share(total - logits.max(-1), logits) < 1e-5


def mobilenet(size):
    backbone = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(size, size, 3), alpha=0.35
    )
    return attend(backbone, ["block_6_expand_relu", "block_13_expand_relu"], num_classes=3)


@pytest.mark.parametrize("make", [small, pytest.param(mobilenet, marks=pytest.mark.slow)])
def test_a_model_that_takes_any_size(make, tmp_path):
    """Maps are as large as the images that are sent; pictures have no size to be brought to."""
    model = make(None)
    directory, served = export(model, tmp_path)
    assert set(served) == {"serving_default", "classify", "explain", "explain_class"}
    for height, width in ((40, 56), (64, 32)):
        images = np.random.default_rng(2).integers(0, 256, (2, height, width, 3), dtype="uint8")
        outputs = arrays(model.predict(images.astype("float32"), verbose=0))
        answers = arrays(served["serving_default"](images=images))
        for name in answers.keys() - {"probabilities"}:
            np.testing.assert_allclose(answers[name], outputs[name], atol=1e-5)
        explained = arrays(served["explain"](images=images))
        assert {v.shape for n, v in explained.items() if n not in ("probabilities", "evidence_rest")} == {
            (2, height, width)
        }
        logits = centred(outputs["logits"])
        total = explained["evidence"].sum((1, 2)) + explained["evidence_rest"]
        assert share(total - logits.max(-1), logits) < 1e-4
        assert served["explain"](images=images[:0])["evidence"].shape == (0, height, width)
    assert json.loads((directory / "assets" / "model_card.json").read_text())["input"]["shape"] == [
        None,
        None,
        3,
    ]


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


def test_a_fresh_process_without_keras_gets_the_same(exported_evident, tmp_path):
    directory, served = exported_evident
    asked = {"images": IMAGES, "classes": np.array([2, 0, 1], "int32")}
    np.savez(tmp_path / "data.npz", **asked, **arrays(served["explain_class"](**asked)))
    command = [sys.executable, "-c", PLAIN_TENSORFLOW, str(directory), str(tmp_path / "data.npz")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


FAMILIES = {
    "vgg-pan": partial(build_model, "vgg-pan", num_classes=3, width=0.05),
    "rn164-att2-concat-dp": partial(build_model, "rn164-att2-concat-dp", num_classes=3, width=0.2),
    "mobilenet": partial(mobilenet, 32),
}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_evidence_of_every_family_adds_up(family, tmp_path):
    model = scattered(FAMILIES[family]())
    _, served = export(model, tmp_path)
    logits = centred(model.predict(IMAGES.astype("float32"), verbose=0)["logits"])
    explained = arrays(served["explain"](images=IMAGES))
    total = explained["evidence"].sum((1, 2)) + explained["evidence_rest"]
    assert share(total - logits.max(-1), logits) < 1e-4
