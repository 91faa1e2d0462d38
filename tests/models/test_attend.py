"""attend() on networks the paper never saw, pruning, questions, and weights by name."""

import keras
import numpy as np
import pytest

from attention_keras import attend, build_model
from attention_keras.errors import UserError
from attention_keras.heads import LinearHead, PaperHead
from attention_keras.models.prune import prune_dead_branch
from attention_keras.models.query import global_model, query_model
from attention_keras.models.spec import ModelSpec
from attention_keras.models.transfer_weights import transfer_weights

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")
# One step is sooner taken than traced; JAX compiles it at once sooner than operation by operation.
EAGERLY = keras.backend.backend() != "jax"

APPLICATIONS = {
    "MobileNetV2": ["block_6_expand_relu", "block_13_expand_relu"],
    "VGG16": ["block4_conv3", "block5_conv3"],
    "ResNet50": ["conv3_block4_out", "conv4_block6_out"],
    "EfficientNetV2B0": ["block3b_add", "block5e_add"],
    "ConvNeXtTiny": ["convnext_tiny_stage_1_block_2_identity", "convnext_tiny_stage_2_block_8_identity"],
}


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def backbone():
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(6, 3, 2, padding="same", activation="relu", name="early")(inputs)
    x = keras.layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="late")(x)
    return keras.Model(inputs, x)


def train_a_step(model, classes=5):
    before = [np.array(w) for w in model.get_weights()]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, run_eagerly=EAGERLY)
    assert np.isfinite(model.train_on_batch(IMAGES, np.arange(4) % classes))
    return before, model.get_weights()


def check_application(name):
    taps = APPLICATIONS[name]
    spec = ModelSpec(backbone=f"keras:{name}", taps=tuple(taps), compat="dp")
    model = build_model(spec, num_classes=5, preprocess=keras.layers.Rescaling(1 / 255))
    assert list(model.output) == ["logits", *(f"attention_{tap}" for tap in taps)]
    before, after = train_a_step(model)
    assert np.abs(before[0] - after[0]).max() > 0  # end to end: the first kernel moved
    for tap in taps:
        attention = numpy(model(IMAGES)[f"attention_{tap}"])
        np.testing.assert_allclose(attention.sum((1, 2)), 1, atol=1e-5)


def test_mobilenet_trains_with_attention():
    check_application("MobileNetV2")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(APPLICATIONS)[1:])
def test_applications_train_with_attention(name):
    check_application(name)


def test_a_frozen_backbone_stays_as_it_is():
    network = backbone()
    network.trainable = False
    model = attend(network, ["early", "late"], 5, head=LinearHead("pc"))
    kept = [np.array(w) for w in network.get_weights()]
    before, after = train_a_step(model)
    for a, b in zip(kept, network.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert any(np.abs(a - b).max() > 0 for a, b in zip(before, after))


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"taps": ["erly"]}, "no layer 'erly'; the closest names are early"),
        ({"taps": []}, "taps is empty"),
        ({"taps": [3]}, "taps are layer names"),
        ({"taps": ["global_pool"]}, "a feature map"),
    ],
)
def test_wrong_taps(arguments, said):
    network = backbone()
    pooled = keras.layers.GlobalAveragePooling2D(name="global_pool")(network.output)
    network = keras.Model(network.input, pooled)
    with pytest.raises(UserError, match=said):
        attend(network, arguments["taps"], 5)


def test_wrong_applications():
    with pytest.raises(UserError, match="closest names are MobileNet"):
        build_model(ModelSpec(backbone="keras:MobilNet", taps=("x",)))
    with pytest.raises(UserError, match="use width 1"):
        build_model(ModelSpec(backbone="keras:MobileNetV2", taps=("x",)), width=0.5)


PRUNED = {
    "vgg-att1-pc": 0.75,
    "vgg-att2-concat-pc": 0.75,
    "vgg-att3-concat-pc": 0.75,
    "vgg-att2-indep-pc": 0.75,
    "vgg-pan": 0.8,
}


@pytest.mark.parametrize("name", PRUNED)
def test_the_dead_branch_goes_and_the_outputs_stay(name):
    model = build_model(name, width=0.0625)
    pruned = prune_dead_branch(model)
    for key, value in model.predict(IMAGES, verbose=0).items():
        np.testing.assert_allclose(pruned.predict(IMAGES, verbose=0)[key], value, atol=1e-6)
    assert pruned.count_params() / model.count_params() == pytest.approx(PRUNED[name], abs=0.01)
    assert not any("conv15" in layer.name for layer in pruned.layers)


@pytest.mark.parametrize("name", ["vgg", "vgg-att2-concat-dp", "vgg-att2-concat-pc-sigmoid"])
def test_what_uses_g_keeps_it(name):
    model = build_model(name, width=0.03)
    assert prune_dead_branch(model).count_params() == model.count_params()


def test_pruning_works_on_attend_models():
    model = attend(backbone(), ["early", "late"], 5, head=LinearHead("pc"))
    pruned = prune_dead_branch(model)
    assert "global_features" not in {layer.name for layer in pruned.layers}
    images = IMAGES / 255  # logits of about 1, of which 1e-6 is a few roundings
    np.testing.assert_allclose(numpy(pruned(images)["logits"]), numpy(model(images)["logits"]), atol=1e-6)


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
