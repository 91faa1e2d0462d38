"""Evidence of classifiers that this package has not made: it adds up, or names what stands between."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops
from small_backbones import arrays, scattered

from attention_keras import evidence_model, explain
from attention_keras.errors import UserError
from attention_keras.models.evidence import final_activation
from attention_keras.models.graph import functional
from attention_keras.models.outputs import evidence_maps

DOCS = Path(__file__).parents[2] / "docs" / "evidence.md"
NAMED = re.compile("`([^`]+)`")
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 16, 24, 3)).astype("float32")


def check(model, logits, images=IMAGES, centred=True):
    """Evidence and rest of a model add up to `logits`, a tensor of its graph; its maps by name."""
    expected = ops.convert_to_numpy(keras.Model(functional(model).input, logits)(images)).astype("float64")
    outputs = arrays(evidence_model(model)(images))
    maps = evidence_maps(outputs)
    total = sum(level.astype("float64").sum((1, 2)) for level in maps.values()) + outputs["evidence_rest"]
    wanted = expected - expected.mean(-1, keepdims=True) if centred else expected
    assert np.abs(total - wanted).max() < 1e-5 * np.abs(expected).max(), list(maps)
    assert all(np.abs(level).max() > 1e-6 * np.abs(expected).max() for level in maps.values())
    return maps


def feature_map():
    images = keras.Input((16, 24, 3), name="images")
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    return images, layers.Conv2D(6, 3, 4, padding="same", name="map")(x)


def small(head):
    """A map, what `head` makes of it, and a softmax behind: the model, and the tensor of its logits."""
    images, x = feature_map()
    logits = head(x)
    return scattered(keras.Model(images, layers.Softmax()(logits))), logits


def norms_and_gates(x):
    x = layers.BatchNormalization()(layers.Dropout(0.3)(layers.GlobalAveragePooling2D(keepdims=True)(x)))
    x = layers.ReLU(max_value=0.7)(x)
    x = layers.LeakyReLU(0.2)(layers.Conv2D(9, 1)(x))
    x = layers.LayerNormalization()(layers.Flatten()(x))
    return layers.Dense(4)(layers.Dense(8, activation="relu")(x))


def two_pools(x):
    both = layers.Concatenate()([ops.mean(x, axis=(1, 2)), ops.max(x, axis=[1, 2])])
    return layers.Rescaling(0.5, offset=0.1)(layers.Dense(4)(both))


def a_vote_for_each_place(x):
    return layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1, name="votes")(x))


def two_classifiers(x):
    pools = layers.GlobalMaxPooling2D(), layers.GlobalAveragePooling2D()
    return layers.Add()([layers.Dense(4)(pool(x)) for pool in pools])


def no_pooling(x):
    return layers.Dense(4)(layers.Dense(5, activation="relu6")(layers.Flatten()(x)))


def tokens(x):
    x = layers.Reshape((24, 6))(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 3)(x, x)])
    return layers.Dense(4)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x)))


def test_whatever_is_linear_for_a_given_image_adds_up():
    for head in (norms_and_gates, two_pools, no_pooling, tokens, two_classifiers):
        maps = check(*small(head))
        assert [level.shape for level in maps.values()] == [(2, 4, 6, 4)], head.__name__
    assert list(check(*small(a_vote_for_each_place))) == ["votes"]


def test_the_output_has_any_name_place_and_activation():
    for classes, activation in ((4, "sigmoid"), (1, "sigmoid"), (1, "linear")):  # their own logit
        images, x = feature_map()
        pooled = layers.GlobalAveragePooling2D()(x)
        dense, twin = layers.Dense(classes, activation=activation), layers.Dense(classes)
        model, logits = scattered(keras.Model(images, dense(pooled))), twin(pooled)
        twin.set_weights(dense.get_weights())
        assert final_activation(model) == activation
        check(model, logits, centred=False)
    images, x = feature_map()
    logits = layers.Dense(4)(layers.GlobalAveragePooling2D()(x))
    answers = layers.Softmax()(logits)
    for outputs in ([x, answers], {"map": x, "species": answers}, answers):
        check(scattered(keras.Model(images, outputs)), logits)


def test_models_in_models_are_seen_through(tmp_path):
    for head_inside in (True, False):
        images, x = feature_map()
        inner = keras.Model(images, norms_and_gates(x) if head_inside else x, name="inner")
        model = keras.Sequential([keras.Input((16, 24, 3)), layers.Rescaling(0.5), scattered(inner)])
        for layer in [] if head_inside else [layers.GlobalMaxPooling2D(), layers.Dense(4)]:
            model.add(layer)
        model.add(layers.Softmax())
        before = ops.convert_to_numpy(model(IMAGES))
        assert list(check(model, functional(model).layers[-1].input)) == ["map"]
        explained = evidence_model(model, of="predicted")
        expected = arrays(explained(IMAGES))
        np.testing.assert_allclose(expected["probabilities"], before, atol=1e-6)
        explained.save(tmp_path / "explained.keras")
        for name, value in arrays(keras.models.load_model(tmp_path / "explained.keras")(IMAGES)).items():
            np.testing.assert_allclose(value, expected[name], atol=1e-5)


def test_what_stands_between_is_named():
    for between, said in (
        (layers.Activation("hard_swish", name="swish"), r"layer 'swish' \(Activation\) stands between"),
        (layers.Dense(5, activation="gelu", name="mlp"), r"the layer 'mlp' \(Dense\) stands between"),
        (lambda x: layers.Reshape((2, 3))(x)[:, 0], r"the layer 'get_item\w*' \(GetItem\)"),
    ):
        model, _ = small(lambda x, f=between: layers.Dense(4)(f(layers.GlobalMaxPooling2D()(x))))
        with pytest.raises(UserError, match=said):
            evidence_model(model)
    with pytest.raises(UserError, match="evidence: nothing is pooled"):
        evidence_model(keras.Sequential([keras.Input((8,)), layers.Dense(3)]))


def families():
    """The table of docs/evidence.md: network -> the map of its evidence, or None."""
    table = DOCS.read_text(encoding="utf-8").split("| family |")[1].split("\n\n")[0]
    rows = [row.split("|") for row in table.splitlines()[2:]]
    return {
        name: next(iter(NAMED.findall(tap)), None)
        for _, names, _, tap, _ in rows
        for name in NAMED.findall(names)
    }


FAMILIES = families()
APPLICATIONS = [name for name in FAMILIES if "Backbone" not in name]
SIZES = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}  # the smallest images
KINDS = ("ConvNeXtTiny", "EfficientNetV2B0", "MobileNet", "MobileNetV2", "MobileNetV3Small")
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in APPLICATIONS if name not in KINDS]


def test_the_table_has_every_family_of_applications():
    known = [name for name in dir(keras.applications) if name[0].isupper()]
    modules = [{getattr(keras.applications, n).__module__ for n in names} for names in (known, APPLICATIONS)]
    assert modules[0] == modules[1]


@pytest.mark.parametrize("name", [*KINDS, *SLOW])
def test_families_of_applications(name):
    size = SIZES.get(name, 32)
    application = getattr(keras.applications, name)
    model = application(weights=None, input_shape=(size, size, 3), classes=5, classifier_activation=None)
    if FAMILIES[name] is None:
        with pytest.raises(UserError, match="stands between"):
            evidence_model(model)
        return
    images = np.random.default_rng(0).uniform(-1, 1, (2, size, size, 3)).astype("float32")
    with_softmax = keras.Model(model.input, layers.Softmax()(model.output))
    assert list(check(with_softmax, model.output, images)) == [FAMILIES[name]]


def hub_models(hub):
    """Small classifiers of keras_hub by the names of their backbones; DenseNet's is pooled by maximum."""
    image, models = {"image_shape": (32, 32, 3)}, hub.models
    stages = {"num_filters": [64, 8], "num_blocks": [1, 1], "num_strides": [1, 2]}
    stages = {f"stackwise_{name}": value for name, value in stages.items()}
    stages |= {"input_conv_filters": [64], "input_conv_kernel_sizes": [3], "block_type": "basic_block"}
    blocks = {"width_coefficients": [1.0] * 2, "depth_coefficients": [1.0] * 2, "kernel_sizes": [3, 3]}
    blocks |= {"num_repeats": [1, 2], "input_filters": [8, 8], "output_filters": [8, 8], "strides": [1, 2]}
    blocks |= {"expansion_ratios": [1, 2], "squeeze_and_excite_ratios": [0.25] * 2}
    blocks |= {"block_types": ["v1", "v1"], "force_input_filters": [0, 0], "nores_option": [False, False]}
    blocks = {f"stackwise_{name}": value for name, value in blocks.items()}
    dense = {"stackwise_num_repeats": [1, 2], "compression_ratio": 0.5, "growth_rate": 4}
    pooled = {
        models.ResNetBackbone(**stages, use_pre_activation=True, **image): "avg",
        models.EfficientNetBackbone(**blocks, num_features=16, input_shape=(32, 32, 3)): "avg",
        models.DenseNetBackbone(**dense, **image): "max",
    }
    return {type(b).__name__: models.ImageClassifier(b, 5, pooling=kind) for b, kind in pooled.items()}


def test_classifiers_of_keras_hub():
    models = hub_models(pytest.importorskip("keras_hub"))
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    assert set(models) == FAMILIES.keys() - set(APPLICATIONS)
    for name, model in models.items():
        assert list(check(scattered(model), model.output, images)) == [FAMILIES[name]]
        assert explain(model, images).total.shape == (2, 32, 32)
