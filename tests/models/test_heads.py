"""The heads on taps: numbers against NumPy, what stands after pooling, names in the zoo."""

import keras
import numpy as np
from small_backbones import arrays

from attention_keras import attend, build_model
from attention_keras.heads import LinearHead
from attention_keras.layers.normalization import WarmBatchNormalization

IMAGES = np.random.default_rng(0).normal(3, 2, (4, 6, 8, 3)).astype("float32")


def identity_backbone():
    """A backbone whose tap is the image itself, and whose g is its mean colour."""
    inputs = keras.Input((6, 8, 3))
    return keras.Model(inputs, keras.layers.Identity(name="same")(inputs))


NORMS = {
    "image": lambda x: (
        (x - x.mean((1, 2, 3), keepdims=True)) / np.sqrt(x.var((1, 2, 3), keepdims=True) + 1e-6)
    ),
    "position": lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6),
    "channel": lambda x: x / np.sqrt(1 + 1e-5),  # batch norm before training: mean 0, variance 1
    "none": lambda x: x,
}


def test_the_linear_head_is_what_its_formula_says():
    """Normalise, q = W BN(g) + b over its rms, softmax of <l_i, q> / sqrt(c), a linear classifier.

    The classifier sees the average of g's map as well, which here is the tap itself.
    """
    images = IMAGES.astype("float64")
    for local_norm, normalized in NORMS.items():
        model = attend(identity_backbone(), ["same"], 5, head=LinearHead(local_norm=local_norm))
        local = normalized(images)
        kernel, bias = (np.array(w, "float64") for w in model.get_layer("project_same").get_weights())
        g = images.mean((1, 2)) / np.sqrt(1 + 1e-5) @ kernel + bias
        q = g / np.sqrt((g**2).mean(-1, keepdims=True) + 1e-6)
        exponentials = np.exp(np.einsum("bhwc,bc->bhw", local, q) / np.sqrt(3))
        attention = exponentials / exponentials.sum((1, 2), keepdims=True)
        attended = np.einsum("bhw,bhwc->bc", attention, local)
        descriptor = np.concatenate([attended, local.mean((1, 2))], axis=-1)
        kernel, bias = (np.array(w, "float64") for w in model.get_layer("classifier").get_weights())
        found = arrays(model(IMAGES))
        np.testing.assert_allclose(found["attention_same"], attention, rtol=1e-4, err_msg=local_norm)
        np.testing.assert_allclose(found["logits"], descriptor @ kernel + bias, atol=1e-5)


def test_the_classifier_sees_the_average_of_gs_map_or_what_is_attended_to_alone():
    for head, channels in (
        (LinearHead(), 6),
        (LinearHead(include_global=False), 3),
        (LinearHead(aggregate="indep"), 3),
        ("paper", 3),
    ):
        model = attend(identity_backbone(), ["same"], 5, head=head)
        assert model.get_layer("classifier").kernel.shape == (channels, 5), head
    backbone = identity_backbone()  # the map is found where the backbone averages it itself
    average = keras.layers.GlobalAveragePooling2D()(backbone.output)
    model = attend(keras.Model(backbone.input, average), ["same"], 5, head="linear")
    assert model.get_layer("classifier").kernel.shape == (6, 5)


def test_parameters_of_the_linear_head():
    """The paper's, less u, its bias and BN at each tap, with a norm, and a BN and a linear layer on g."""
    expected = 19_720_780 - 2 * (512 + 1) - 2 * 1024 + 2 * 1024 + 2 * 1024 + 2 * (512 * 512 + 512)
    model = build_model("vgg-att2-linear-scaled")
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == expected


def test_what_the_numbers_mean_travels_in_the_file(tmp_path):
    model = attend(identity_backbone(), ["same"], 2, activation="sigmoid")
    model.class_names, model.temperature = ["a", "b"], 2.0
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.settings == {"activation": "sigmoid", "class_names": ["a", "b"], "temperature": 2.0}
    assert loaded.like(loaded.input, loaded.output).settings == loaded.settings


def test_the_statistics_of_the_query_are_right_after_few_updates():
    """Ten updates: their mean and variance, and nothing of the 1 that Keras starts from."""
    layer = WarmBatchNormalization(momentum=0.9)
    rng = np.random.default_rng(0)
    batches = rng.normal(1, 0.05, (10, 64, 3)).astype("float32")
    for batch in batches:
        layer(batch, training=True)
    expected = {"moving_mean": batches.mean((0, 1)), "moving_variance": batches.var(axis=1).mean(0)}
    for name, values in expected.items():
        np.testing.assert_allclose(keras.ops.convert_to_numpy(getattr(layer, name)), values, rtol=1e-3)
    for _ in range(10):  # from then on it moves, by a tenth a time
        layer(batches[0] + 1, training=True)
    moved = keras.ops.convert_to_numpy(layer.moving_mean) - batches.mean((0, 1))
    np.testing.assert_allclose(moved, 1 - 0.9**10, atol=0.01)
