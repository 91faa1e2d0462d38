"""Evidence of classifiers that this package has not made: it adds up, or names what stands between."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

from attention_keras import evidence_model, explain
from attention_keras.errors import UserError
from attention_keras.models.evidence import final_activation
from attention_keras.models.graph import functional
from attention_keras.models.outputs import evidence_maps

DOCS = Path(__file__).parents[2] / "docs" / "evidence.md"
NAMED = re.compile("`([^`]+)`")
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 16, 24, 3)).astype("float32")


def scattered(model):
    """Statistics, scales, shifts and biases of their own, as if trained."""
    rng = np.random.default_rng(1)
    for layer in model._flatten_layers():
        for variable in layer.weights if isinstance(layer, (layers.Dense, layers.BatchNormalization)) else []:
            spread = rng.uniform(0.5, 1.5, variable.shape)
            spread = spread if "variance" in variable.path else spread - 1 + 0.1
            variable.assign(spread if len(variable.shape) == 1 else variable)
    return model


def check(model, logits, images=IMAGES, centred=True):
    """Evidence and rest of a model add up to `logits`, a tensor of its graph; its maps by name."""
    expected = ops.convert_to_numpy(keras.Model(functional(model).input, logits)(images)).astype("float64")
    outputs = {name: ops.convert_to_numpy(x) for name, x in evidence_model(model)(images).items()}
    maps = evidence_maps(outputs)
    total = sum(level.astype("float64").sum((1, 2)) for level in maps.values()) + outputs["evidence_rest"]
    wanted = expected - expected.mean(-1, keepdims=True) if centred else expected
    assert np.abs(total - wanted).max() < 1e-5 * np.abs(expected).max(), list(maps)
    assert all(np.abs(level).max() > 1e-6 * np.abs(expected).max() for level in maps.values())
    return maps


def feature_map(name="map", channels=6):
    images = keras.Input((16, 24, 3), name="images")
    x = layers.Conv2D(channels, 3, 4, padding="same", name=name)(
        layers.Rescaling(1 / 127.5, offset=-1)(images)
    )
    return images, x


def small(head, activation="softmax", name="map"):
    """A map, what `head` makes of it, and the activation behind: the model, and the tensor of its logits."""
    images, x = feature_map(name)
    logits = head(x)
    return scattered(keras.Model(images, layers.Activation(activation)(logits))), logits


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
    return layers.Reshape((4,))(
        layers.GlobalAveragePooling2D(keepdims=True)(layers.Conv2D(4, 1, name="votes")(x))
    )


def no_pooling(x):
    return layers.Dense(4)(layers.Dense(5, activation="relu6")(layers.Flatten()(x)))


def tokens(x):
    x = layers.Reshape((24, 6))(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 3)(x, x)])
    return layers.Dense(4)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x)))


def test_whatever_is_linear_for_a_given_image_adds_up():
    for head, size in (
        (norms_and_gates, (4, 6)),
        (two_pools, (4, 6)),
        (no_pooling, (4, 6)),
        (tokens, (4, 6)),
    ):
        maps = check(*small(head))
        assert [level.shape for level in maps.values()] == [(2, *size, 4)], head.__name__
    assert list(check(*small(a_vote_for_each_place))) == ["votes"]


def test_sums_of_two_classifiers_have_the_evidence_of_both():
    images, x = feature_map()
    one, other = (
        layers.Dense(4)(pool()(x)) for pool in (layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D)
    )
    logits = layers.Add()([one, other])
    model = scattered(keras.Model(images, layers.Softmax()(logits)))
    assert list(check(model, logits)) == ["map"]


def test_sigmoids_one_logit_and_regression_have_their_own_logit():
    for classes, activation, said in (
        (4, "sigmoid", "sigmoid"),
        (1, "sigmoid", "sigmoid"),
        (1, "linear", "linear"),
    ):
        images, x = feature_map()
        pooled = layers.GlobalAveragePooling2D()(x)
        dense = layers.Dense(classes, activation=activation)
        model = scattered(keras.Model(images, dense(pooled)))
        assert final_activation(model) == said
        twin = layers.Dense(classes)
        logits = twin(pooled)
        twin.set_weights(dense.get_weights())
        check(model, logits, centred=False)


def test_the_output_has_any_name_and_place():
    images, x = feature_map()
    logits = layers.Dense(4)(layers.GlobalAveragePooling2D()(x))
    answers = layers.Softmax()(logits)
    for outputs in ([x, answers], {"map": x, "species": answers}, answers):
        check(scattered(keras.Model(images, outputs)), logits)
    found = evidence_model(keras.Model(images, {"map": x, "species": answers}), of="predicted")
    assert set(found.output) == {"map", "species", "evidence_map", "evidence_rest"}


def nested(head_inside):
    """A classifier of a model in a model: its head inside, or around it; and the logits for its images."""
    images, x = feature_map()
    if head_inside:
        x = norms_and_gates(x)
    inner = scattered(keras.Model(images, x, name="inner"))
    outer = keras.Sequential([keras.Input((16, 24, 3)), layers.Rescaling(0.5), inner])
    if not head_inside:
        outer.add(layers.GlobalMaxPooling2D())
        outer.add(layers.Dense(4))
    outer.add(layers.Softmax())
    return outer


def test_models_in_models_are_seen_through(tmp_path):
    for head_inside in (True, False):
        model = nested(head_inside)
        logits = functional(model).layers[-1].input
        before = ops.convert_to_numpy(model(IMAGES))
        assert list(check(model, logits)) == ["map"]
        explained = evidence_model(model, of="predicted")
        np.testing.assert_allclose(
            ops.convert_to_numpy(explained(IMAGES)["probabilities"]), before, atol=1e-6
        )
        explained.save(tmp_path / "explained.keras")
        loaded = keras.models.load_model(tmp_path / "explained.keras")
        for name, value in loaded(IMAGES).items():
            np.testing.assert_allclose(
                *map(ops.convert_to_numpy, (value, explained(IMAGES)[name])), atol=1e-5
            )


def test_what_stands_between_is_named():
    def between(layer):
        return small(lambda x: layers.Dense(4)(layer(layers.GlobalAveragePooling2D()(x))))[0]

    for layer, said in (
        (layers.Activation("hard_swish", name="swish"), r"the layer 'swish' \(Activation\) stands between"),
        (layers.Dense(5, activation="gelu", name="mlp"), r"the layer 'mlp' \(Dense\) stands between"),
        (layers.UnitNormalization(name="unit"), r"the layer 'unit' \(UnitNormalization\)"),
    ):
        with pytest.raises(UserError, match=said) as error:
            evidence_model(between(layer))
        assert "\n" not in str(error.value)
    images, x = feature_map()
    token = layers.Dense(4)(layers.Reshape((24, 6))(x)[:, 0])
    with pytest.raises(UserError, match=r"the layer 'get_item\w*' \(GetItem\) stands between"):
        evidence_model(keras.Model(images, token))


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
SIZES = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}  # the smallest images
KINDS = ("ConvNeXtTiny", "EfficientNetV2B0", "MobileNet", "MobileNetV2", "MobileNetV3Small")


def test_the_table_has_every_family_of_applications():
    known = {
        getattr(keras.applications, name).__module__ for name in dir(keras.applications) if name[0].isupper()
    }
    assert known == {
        getattr(keras.applications, name).__module__ for name in FAMILIES if "Backbone" not in name
    }


@pytest.mark.parametrize(
    "name",
    [
        name if name in KINDS else pytest.param(name, marks=pytest.mark.slow)
        for name in FAMILIES
        if "Backbone" not in name
    ],
)
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
    resnet = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 8],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        use_pre_activation=True,
        image_shape=(32, 32, 3),
    )
    efficientnet = hub.models.EfficientNetBackbone(
        stackwise_width_coefficients=[1.0] * 2,
        stackwise_depth_coefficients=[1.0] * 2,
        stackwise_kernel_sizes=[3, 3],
        stackwise_num_repeats=[1, 2],
        stackwise_input_filters=[8, 8],
        stackwise_output_filters=[8, 8],
        stackwise_expansion_ratios=[1, 2],
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
        stackwise_strides=[1, 2],
        stackwise_block_types=["v1", "v1"],
        stackwise_force_input_filters=[0, 0],
        stackwise_nores_option=[False, False],
        num_features=16,
        input_shape=(32, 32, 3),
    )
    densenet = hub.models.DenseNetBackbone(
        stackwise_num_repeats=[1, 2], compression_ratio=0.5, growth_rate=4, image_shape=(32, 32, 3)
    )
    pooled = {resnet: "avg", efficientnet: "avg", densenet: "max"}
    return {
        type(backbone).__name__: hub.models.ImageClassifier(backbone, 5, pooling=pooling)
        for backbone, pooling in pooled.items()
    }


def test_classifiers_of_keras_hub():
    hub = pytest.importorskip("keras_hub")
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    models = hub_models(hub)
    assert set(models) == {name for name in FAMILIES if name.endswith("Backbone")}
    for name, model in models.items():
        assert list(check(scattered(model), model.output, images)) == [FAMILIES[name]]
        assert explain(model, images).total.shape == (2, 32, 32)
