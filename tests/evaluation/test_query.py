"""Questions: dp attention follows g, pc under a softmax does not."""

import numpy as np
import pytest
from small_classifier import small

from attention_keras import build_model
from attention_keras.errors import UserError
from attention_keras.evaluation.tasks.query import questioned_maps, taps_that_ignore_g
from attention_keras.measures.faithfulness import movement

IMAGES = np.random.default_rng(0).uniform(0, 255, (5, 32, 32, 3)).astype("float32")


def test_questions_move_dp_attention_and_not_pc():
    moved = {}
    for compat, ignoring in (("dp", []), ("pc", ["conv10", "conv13"])):
        model = small(f"vgg-att2-concat-{compat}")
        assert taps_that_ignore_g(model) == ignoring
        # The last target asks too: it does not move its own map.
        own, asked = questioned_maps(model, IMAGES[:3], IMAGES[2:])
        assert list(own) == ["conv10", "conv13"] and asked["conv13"].shape == (3, 3, 8, 8)
        np.testing.assert_allclose(asked["conv13"][0, 2], own["conv13"][2], atol=1e-6)
        np.testing.assert_allclose(own["conv13"], model(IMAGES[:3])["attention_conv13"], atol=1e-6)
        moved[compat] = movement(own["conv13"], asked["conv13"][1:])
    assert moved["pc"]["total_variation"] < 1e-5 and moved["pc"]["correlation"] > 0.9999
    assert moved["dp"]["total_variation"] > 1e-4


def test_networks_without_a_single_g_are_refused():
    for name, said in (("vgg-gap", "has none"), ("vgg-att2-concat-pc-2g", "it has global_features")):
        with pytest.raises(UserError, match=said):
            questioned_maps(build_model(name, width=0.04), IMAGES[:1], IMAGES[1:])
    assert taps_that_ignore_g(build_model("vgg-att2-concat-mean", width=0.04)) == ["conv10", "conv13"]
