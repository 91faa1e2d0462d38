"""A network in parts: what is frozen and the head on it, the branch of g, and what it costs."""

import keras
import numpy as np
import pytest
from keras import layers
from small_backbones import arrays

from attention_keras import attend, build_model
from attention_keras.errors import UserError
from attention_keras.heads import LinearHead, PaperHead
from attention_keras.models.graph import all_layers
from attention_keras.models.parts import (
    count_macs,
    frozen_layers,
    prune_dead_branch,
    split_frozen,
    thaw,
)

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype("float32")
LARGE = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")


def frozen(around=False):
    images = keras.Input((16, 16, 3))
    x = layers.Conv2D(6, 3, 2, padding="same", activation="relu", name="early")(images)
    x = layers.BatchNormalization(name="norm")(x)
    model = keras.Model(images, layers.Conv2D(8, 3, 2, padding="same", name="late")(x), name="small")
    if around:
        model = keras.Sequential([keras.Input((16, 16, 3)), layers.Rescaling(1 / 255), model])
    model.trainable = False
    return model


def test_the_parts_make_up_the_network():
    for around, taps, options in (
        (False, ["early", "late"], {"head": "linear"}),
        (False, "auto", {"preprocess": "imagenet", "head": "linear"}),
        (False, ["late"], {"head": PaperHead("dp")}),
        (False, ["early", "late"], {"head": LinearHead(aggregate="indep")}),
        (True, ["small/early", "small/late"], {"head": "linear"}),
    ):
        model = attend(frozen(around), taps, 4, **options)
        features, head = split_frozen(model)
        whole, parts = arrays(model(IMAGES)), arrays(head(features(IMAGES)))
        constant = {"attention_late"} if options["head"] == PaperHead("dp") else set()
        assert parts.keys() == whole.keys() - constant
        for name, value in parts.items():
            np.testing.assert_allclose(value, whole[name], atol=1e-6)
        assert not features.trainable_variables
        assert {id(v) for v in head.trainable_variables} == {id(v) for v in model.trainable_variables}
        # g is pooled before it is kept: a vector, not a map.
        assert sum(len(tensor.shape) == 2 for tensor in features.outputs) == 1
    with pytest.raises(UserError, match="no part of vgg-att1-pc that begins with the images is frozen"):
        split_frozen(build_model("vgg-att1-pc", width=0.03))


def test_thawing_leaves_batch_norm_as_it_is():
    model = attend(frozen(around=True), ["small/late"], 4, head="linear")
    thaw(frozen_layers(model))
    trainable = {layer.name: layer.trainable for layer in all_layers(model)}
    assert trainable["early"] and trainable["late"] and trainable["small"] and trainable["query_late"]
    assert not trainable["norm"]
    paths = [variable.path for variable in model.trainable_variables]
    assert any("early/kernel" in path for path in paths) and not any("/norm/" in path for path in paths)


def test_the_dead_branch_goes_and_the_outputs_stay():
    shares = {"vgg-att1-pc": 0.75, "vgg-att3-concat-pc": 0.75, "vgg-att2-indep-pc": 0.75, "vgg-pan": 0.8}
    for name, share in shares.items():
        model = build_model(name, width=0.0625)
        pruned = prune_dead_branch(model)
        found = pruned.predict(LARGE, verbose=0)
        for key, value in model.predict(LARGE, verbose=0).items():
            np.testing.assert_allclose(found[key], value, atol=1e-6)
        assert pruned.count_params() / model.count_params() == pytest.approx(share, abs=0.01), name
        assert not any("conv15" in layer.name for layer in pruned.layers)
    for name in ("vgg", "vgg-att2-concat-dp", "vgg-att2-concat-pc-sigmoid"):  # they use g, and keep it
        model = build_model(name, width=0.03)
        assert prune_dead_branch(model) is model


def test_compute_is_counted_on_the_graph():
    """Of images of 80x80, without a weight."""
    for name, gigamacs in (("vgg", 1.92), ("vgg-att2-concat-pc", 13.11)):
        with keras.StatelessScope(initialize_variables=False):
            model = build_model(name, (80, 80, 3))
        assert count_macs(model) / 1e9 == pytest.approx(gigamacs, rel=2e-3)
    images = keras.Input((8, 8, 3))
    x = layers.SeparableConv2D(5, 3, padding="same")(images)
    x = layers.DepthwiseConv2D(3, 2, padding="same")(x)
    assert count_macs(keras.Model(images, x)) == 64 * (9 * 3 + 3 * 5) + 16 * 9 * 5
