"""The class head: its formula, its two losses, and the weights that held-out images give."""

import keras
import numpy as np
import pytest
from small_backbones import arrays

from attention_keras import attend, evidence_model
from attention_keras.models.class_head import fit_level_weights

CLASSES = 3
RNG = np.random.default_rng(0)


def small(**options):
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(16, 3, strides=2, activation="relu", name="early")(images)
    x = keras.layers.Conv2D(24, 3, strides=2, activation="relu", name="top")(x)
    backbone = keras.Model(images, x)
    backbone.trainable = False
    return attend(backbone, num_classes=CLASSES, **options)


def shapes(count=240):
    """One bright square of a colour for each class, at a place of its own, on noise."""
    labels = RNG.integers(0, CLASSES, count)
    images = RNG.uniform(0, 1, (count, 16, 16, 3)).astype("float32")
    for image, label, (y, x) in zip(images, labels, RNG.integers(0, 12, (count, 2))):
        image[y : y + 4, x : x + 4] = 0
        image[y : y + 4, x : x + 4, label] = 2
    return images, labels


def randomised(model):
    for weight in model.weights:
        if any(name in weight.path for name in ("probe", "scores_", "local_", "level_weights")):
            weight.assign(RNG.uniform(0.2, 1, weight.shape))
    return model


def test_logits_and_attention_by_the_formula():
    images, _ = shapes(5)
    default = small().predict(images, verbose=0)  # it starts uniform, on the top
    assert default.keys() == {"logits", "level_logits", "attention_top"} and not default["logits"].any()
    np.testing.assert_allclose(default["attention_top"], 1 / 9, rtol=1e-5)
    model = randomised(small(taps=["early", "top"]))
    outputs = model.predict(images, verbose=0)
    maps = keras.Model(model.input, [model.get_layer(name).output for name in ("early", "top")])
    each, attention = [], {}
    for tap, features in zip(("early", "top"), maps.predict(images, verbose=0)):
        mean, square, _ = model.get_layer(f"local_{tap}").get_weights()
        variance = np.maximum(square - mean**2, 0)
        x = (features - mean) / np.sqrt(variance + 1e-2 * variance.mean())
        kernel, bias = model.get_layer(f"scores_{tap}").get_weights()
        s = x @ kernel + bias
        a = np.exp(s - s.max((1, 2), keepdims=True))
        attention[tap] = a / a.sum((1, 2), keepdims=True)
        each.append((attention[tap] * s).sum((1, 2)))
    kernel, bias = model.get_layer("probe").get_weights()
    each = np.stack([x.mean((1, 2)) @ kernel + bias, *each], 1)
    logits = np.einsum("nlk,l->nk", each, model.get_layer("level_weights").get_weights()[0])
    np.testing.assert_allclose(outputs["level_logits"], each, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(outputs["logits"], logits, rtol=1e-4, atol=1e-4)
    for tap, a in attention.items():
        of_predicted = a[np.arange(5), :, :, logits.argmax(1)]
        np.testing.assert_allclose(outputs[f"attention_{tap}"], of_predicted, atol=1e-5)


def test_each_part_has_a_loss_of_its_own():
    """The gradient of the probe does not know class attention, and the weights are in neither."""
    model = randomised(small())
    images, labels = shapes(8)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    first = model.evaluate(images, labels, verbose=0)
    model.get_layer("level_weights").weight.assign([3.0, 5.0])
    assert model.evaluate(images, labels, verbose=0) == pytest.approx(first, rel=1e-6)
    levels = model.predict(images, verbose=0)["level_logits"]
    each = [np.logaddexp.reduce(z, 1) - z[np.arange(8), labels] for z in levels.transpose(1, 0, 2)]
    penalty = sum(0.05 * np.square(model.get_layer(n).kernel.numpy()).sum() for n in ("probe", "scores_top"))
    assert first == pytest.approx(sum(np.mean(z) for z in each) + penalty, rel=1e-4)


def test_fit_ends_with_the_weights_of_its_validation_data():
    model = small()
    images, labels = shapes()
    model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images[:160], labels[:160], epochs=10, verbose=0, validation_data=(images[160:], labels[160:]))
    levels = model.predict(images[160:], verbose=0)["level_logits"]
    probe, attention = ((levels[:, part].argmax(1) == labels[160:]).mean() for part in (0, 1))
    assert attention > max(probe, 0.85)  # of squares of 4 of 16 pixels the average sees little
    weights = model.get_layer("level_weights").weight.numpy()
    assert (weights > 0).all() and not np.allclose(weights, [1, 0.1])
    np.testing.assert_allclose(model.weigh(images[160:], labels[160:]), weights, rtol=1e-4)
    batches = [(images[160:200], labels[160:200]), (images[200:], np.eye(CLASSES)[labels[200:]])]
    np.testing.assert_allclose(model.weigh(batches), weights, rtol=1e-4)


def test_weights_are_those_of_the_highest_likelihood():
    """Labels are drawn from known weights."""
    levels, true = RNG.normal(size=(20_000, 2, 4)), np.array([1.5, 0.4])
    logits = np.einsum("nlk,l->nk", levels, true)
    drawn = {
        "sigmoid": (RNG.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits))).astype(float),
        "softmax": np.eye(4)[(logits + RNG.gumbel(size=logits.shape)).argmax(1)],
    }
    for activation, targets in drawn.items():
        np.testing.assert_allclose(fit_level_weights(levels, targets, activation), true, atol=0.05)


def test_a_model_from_a_file_has_evidence_where_names_count_from_the_start(tmp_path):
    randomised(small()).save(tmp_path / "model.keras")
    keras.utils.clear_session()
    model = keras.models.load_model(tmp_path / "model.keras", compile=False)
    found = arrays(evidence_model(model, of="predicted")(RNG.uniform(0, 1, (2, 16, 16, 3)).astype("float32")))
    logits, total = found["logits"], found["evidence_top"].sum((1, 2)) + found["evidence_rest"]
    np.testing.assert_allclose(total, logits.max(1) - logits.mean(1), rtol=1e-4)
