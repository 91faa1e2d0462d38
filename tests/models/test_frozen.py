"""A network in two parts: what is frozen, and the head that trains on it."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from attention_keras import attend, build_model
from attention_keras.errors import UserError
from attention_keras.heads import LinearHead, PaperHead
from attention_keras.models.graph import all_layers
from attention_keras.models.parts import frozen_layers, split_frozen, thaw

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype("float32")


def backbone():
    images = keras.Input((16, 16, 3))
    x = layers.Conv2D(6, 3, 2, padding="same", activation="relu", name="early")(images)
    x = layers.BatchNormalization(name="norm")(x)
    return keras.Model(images, layers.Conv2D(8, 3, 2, padding="same", name="late")(x), name="small")


def sequential():
    return keras.Sequential([keras.Input((16, 16, 3)), layers.Rescaling(1 / 255), backbone()])


def numpy(outputs):
    return {name: ops.convert_to_numpy(value) for name, value in outputs.items()}


@pytest.mark.parametrize(
    ("make", "taps", "options"),
    [
        (backbone, ["early", "late"], {"head": "linear"}),
        (backbone, "auto", {"preprocess": "imagenet", "head": "linear"}),
        (backbone, ["late"], {"head": PaperHead("dp")}),
        (backbone, ["early", "late"], {"head": LinearHead(aggregate="indep")}),
        (sequential, ["small/early", "small/late"], {"head": "linear"}),
    ],
)
def test_the_parts_make_up_the_network(make, taps, options):
    network = make()
    network.trainable = False
    model = attend(network, taps, 4, **options)
    features, head = split_frozen(model)
    whole, parts = numpy(model(IMAGES)), numpy(head(features(IMAGES)))
    assert parts.keys() == whole.keys() - (
        {"attention_late"} if options.get("head") == PaperHead("dp") else set()
    )
    for name, value in parts.items():
        np.testing.assert_allclose(value, whole[name], atol=1e-6)
    assert not features.trainable_variables
    assert {id(v) for v in head.trainable_variables} == {id(v) for v in model.trainable_variables}
    # g is pooled before it is kept: a vector, not a map.
    assert sum(len(tensor.shape) == 2 for tensor in features.outputs) == 1


@pytest.mark.parametrize("taps", ["auto", ["early"]])
@pytest.mark.parametrize("options", [{}, {"preprocess": "imagenet"}, {"copy": True}])
def test_each_map_is_kept_once(taps, options):
    """The top is a tap, what g is averaged from, and what the classifier sees the average of."""
    network = backbone()
    network.trainable = False
    features, _ = split_frozen(attend(network, taps, 4, head="linear", **options))
    shapes = sorted(tuple(tensor.shape[1:]) for tensor in features.outputs)
    assert shapes == [(4, 4, 8), (8,), (8, 8, 6)]


def test_training_the_head_trains_the_network():
    network = backbone()
    network.trainable = False
    model = attend(network, ["late"], 4, head="linear")
    features, head = split_frozen(model)
    before = numpy(model(IMAGES))["logits"]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    head.compile("sgd", loss)
    head.train_on_batch([ops.convert_to_numpy(x) for x in features(IMAGES)], np.arange(3))
    assert np.abs(numpy(model(IMAGES))["logits"] - before).max() > 1e-4


def test_thawing_leaves_batch_norm_as_it_is():
    network = sequential()
    network.trainable = False
    model = attend(network, ["small/late"], 4, head="linear")
    thaw(frozen_layers(model))
    by_name = {layer.name: layer for layer in all_layers(model)}
    assert by_name["early"].trainable and by_name["late"].trainable and by_name["small"].trainable
    assert not by_name["norm"].trainable and by_name["query_late"].trainable
    paths = [variable.path for variable in model.trainable_variables]
    assert any("early/kernel" in path for path in paths) and not any("/norm/" in path for path in paths)


def test_networks_without_a_frozen_part():
    with pytest.raises(UserError, match="no part of vgg-att1-pc that begins with the images is frozen"):
        split_frozen(build_model("vgg-att1-pc", width=0.03))
