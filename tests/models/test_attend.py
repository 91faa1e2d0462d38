"""attend() on networks the paper never saw, pruning, questions, and weights by name."""

import keras
import numpy as np
import pytest

from attention_keras import attend, build_model
from attention_keras.errors import UserError
from attention_keras.heads import LinearHead, PaperHead
from attention_keras.models.copies import transfer_weights
from attention_keras.models.parts import global_model, prune_dead_branch, query_model
from attention_keras.models.spec import ModelSpec

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def backbone():
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(6, 3, 2, padding="same", activation="relu", name="early")(inputs)
    x = keras.layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="late")(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(("project", "width"), [("down", 6), ("up", 8)])
def test_widths_are_made_to_agree_by_an_explicit_projection(project, width):
    model = attend(backbone(), ["early"], 5, head=PaperHead(project=project))
    assert model.get_layer("pool_early").output[0].shape == (None, width)
    assert model.get_layer("project_early").output.shape[-1] == width


def test_taps_by_tensor_and_a_global_of_ones_own():
    network = backbone()
    early = network.get_layer("early").output
    g = keras.layers.Dense(6, name="mine")(keras.layers.GlobalMaxPooling2D()(network.output))
    model = attend(network, {"first": early}, 5, head=LinearHead(global_features=g))
    assert list(model.output) == ["logits", "attention_first"]
    assert model.get_layer("global_features").output.shape == (None, 6)


def test_wrong_applications():
    with pytest.raises(UserError, match="closest names are MobileNet"):
        build_model(ModelSpec(backbone="keras:MobilNet", taps=("x",)))
    with pytest.raises(UserError, match="use width 1"):
        build_model(ModelSpec(backbone="keras:MobileNetV2", taps=("x",)), width=0.5)


def test_the_dead_branch_goes_and_the_outputs_stay():
    shares = {"vgg-att1-pc": 0.75, "vgg-att3-concat-pc": 0.75, "vgg-att2-indep-pc": 0.75, "vgg-pan": 0.8}
    for name, share in shares.items():
        model = build_model(name, width=0.0625)
        pruned = prune_dead_branch(model)
        for key, value in model.predict(IMAGES, verbose=0).items():
            np.testing.assert_allclose(pruned.predict(IMAGES, verbose=0)[key], value, atol=1e-6)
        assert pruned.count_params() / model.count_params() == pytest.approx(share, abs=0.01), name
        assert not any("conv15" in layer.name for layer in pruned.layers)
    for name in ("vgg", "vgg-att2-concat-dp", "vgg-att2-concat-pc-sigmoid"):  # they use g, and keep it
        model = build_model(name, width=0.03)
        assert prune_dead_branch(model) is model


def ask(name):
    """How far another g moves the maps of `name`; with its own g nothing may move."""
    model = build_model(name, width=0.0625)
    g = global_model(model).predict(IMAGES, verbose=0)
    ask = query_model(model)
    own = ask.predict([IMAGES, g], verbose=0)
    for key, value in model.predict(IMAGES, verbose=0).items():
        if key in own:
            np.testing.assert_allclose(own[key], value, atol=1e-6)
    other = ask.predict([IMAGES, -1000 * g], verbose=0)
    return max(np.abs(other[key] - own[key]).max() for key in own)


@pytest.mark.slow
def test_another_g_moves_dp_and_scaled_maps_only():
    assert ask("vgg-att2-concat-dp") > 1e-3
    assert ask("vgg-att3-concat-dp") > 1e-3
    assert ask("vgg-att2-concat-scaled") > 1e-4
    assert ask("vgg-att2-concat-pc") < 1e-6


def test_what_cannot_be_questioned():
    with pytest.raises(UserError, match="no attention to question"):
        query_model(build_model("vgg", width=0.03))
    with pytest.raises(UserError, match="one global feature vector"):
        query_model(build_model("vgg-pan", width=0.03))


def test_weights_move_by_name_all_but_the_classifier():
    source = build_model("vgg-att2-concat-pc", num_classes=100, width=0.1)
    target = build_model("vgg-att2-concat-pc", (80, 80, 3), 200, width=0.1)
    transfer = transfer_weights(source, target)
    assert transfer.skipped == ["classifier"] and transfer.missing == []
    assert "classifier" in transfer.table() and f"loaded {len(transfer.loaded)} layers" in transfer.table()
    for name in transfer.loaded:
        for a, b in zip(source.get_layer(name).get_weights(), target.get_layer(name).get_weights()):
            np.testing.assert_array_equal(a, b)


def test_weights_that_do_not_fit_are_an_error():
    source = build_model("vgg-att2-concat-pc", width=0.1)
    with pytest.raises(UserError, match=r"first conv1_conv: \(3, 3, 3, 6\) in the source, \(3, 3, 3, 13\)"):
        transfer_weights(source, build_model("vgg-att2-concat-pc", width=0.2))
