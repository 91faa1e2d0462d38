"""ClassAttention, Standardize and WeightedLevels against their formulas in float64; maps with padding."""

import keras
import numpy as np
from keras import layers, ops
from small_backbones import arrays, numpy

from attention_keras import evidence_model
from attention_keras.layers import AttentionPool, ClassAttention, Standardize, WeightedLevels


def oracle(local_logits, beta, valid):
    """In float64; what is no valid place has the weight 0."""
    weights = np.exp(beta * local_logits) * valid[..., None]
    attention = weights / weights.sum((1, 2), keepdims=True)
    return (attention * local_logits).sum((1, 2)), attention


def test_attention_and_logits_by_the_formula():
    rng = np.random.default_rng(0)
    local_logits = rng.normal(0, 2, (4, 3, 5, 6))
    valid = rng.uniform(size=(4, 3, 5)) < 0.6
    valid[:, 0, 0] = True
    for beta, mask in ((0.0, None), (1.0, None), (1.0, valid), (3.0, valid)):
        found = ClassAttention(beta)(local_logits.astype("float32"), valid=mask)
        expected = oracle(local_logits, beta, np.ones_like(valid) if mask is None else mask)
        for one, other in zip(found, expected):
            np.testing.assert_allclose(numpy(one), other, atol=1e-5)
    large = np.zeros((1, 2, 2, 1), "float32")
    large[0, 1, 1] = 1e4  # no overflow
    np.testing.assert_allclose(numpy(ClassAttention()(large)[0]), 1e4)


def test_statistics_of_the_first_epoch_are_exact_and_stay():
    rng = np.random.default_rng(0)
    maps = rng.gamma(2, [1, 5, 0.2], (50, 2, 3, 3)).astype("float32")
    adapted, learned = Standardize(), Standardize()
    adapted.adapt(maps)
    average = maps.mean((1, 2), dtype="float64")
    scale, shift = (numpy(value) for value in adapted.affine())
    variance = average.var(0)
    np.testing.assert_allclose(scale, 1 / np.sqrt(variance + 1e-2 * variance.mean()), rtol=1e-3)
    np.testing.assert_allclose(shift, -scale * average.mean(0), rtol=1e-3)
    for epoch in range(3):
        for start in range(0, 50, 16):  # batches of two sizes
            learned(maps[start : start + 16], training=True)
        for name in ("mean", "square"):
            found, expected = numpy(getattr(learned, name)), numpy(getattr(adapted, name))
            np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=f"{name}, epoch {epoch}")


def test_a_channel_that_never_changes_and_a_single_image_stay_finite():
    maps = np.random.default_rng(0).normal(size=(20, 2, 2, 3)).astype("float32")
    maps[..., 1] = 4
    layer = Standardize()
    layer.adapt(maps)
    maps[0, ..., 1] = 5
    assert np.abs(numpy(layer(maps))).max() < 50
    layer.adapt(maps[:1])
    assert np.isfinite(numpy(layer(maps))).all()


def test_the_weighted_sum_by_its_weights_and_float32_under_every_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    layer = WeightedLevels([0.5, 2.0])
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 3, 4)).astype("float32")
    levels, logits = layer([one, two])
    np.testing.assert_array_equal(numpy(levels), np.stack([one, two], 1))
    np.testing.assert_allclose(numpy(logits), 0.5 * one + 2 * two, rtol=1e-6)
    assert not layer.trainable_weights
    x = np.ones((1, 2, 2, 3), "float32")
    for result in (*ClassAttention()(x), Standardize()(x), logits):
        assert keras.backend.standardize_dtype(result.dtype) == "float32"


VALID = -1  # the channel of the images below that says which places are no padding


def classifiers(normalization):
    """The same classifier for maps of 3x4 and of 5x7 places, of softmax or sigmoid and class attention."""
    steps = {name: layers.Dense(units, name=name) for name, units in (("score", 1), ("local", 2), ("k", 2))}
    pool, attend = AttentionPool(normalization, name="pool"), ClassAttention(name="attend")

    def build(size):
        images = keras.Input((*size, 4), name="images")
        valid = images[..., VALID] > 0
        descriptor, attention = pool(images, ops.squeeze(steps["score"](images), -1), valid)
        logits, by_class = attend(steps["local"](images), valid)
        logits = layers.Add()([steps["k"](descriptor), logits])
        return keras.Model(images, {"logits": logits, "attention": attention, "by_class": by_class})

    return build((3, 4)), build((5, 7))


def test_logits_and_evidence_are_those_of_the_map_without_padding():
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, 3, 4, 4)).astype("float32")
    maps[..., VALID] = 1
    padded = rng.normal(3, 5, (2, 5, 7, 4)).astype("float32")  # numbers that must not matter
    padded[..., VALID] = 0
    padded[:, :3, :4] = maps
    for normalization in ("softmax", "sigmoid"):
        small, large = map(evidence_model, classifiers(normalization))
        plain, masked = arrays(small(maps)), arrays(large(padded))
        for name, expected in plain.items():
            found = masked[name]
            if found.ndim > 2:
                assert not found[:, 3:].any() and not found[:, :, 4:].any(), name
                found = found[:, :3, :4]
            np.testing.assert_allclose(found, expected, atol=2e-6, err_msg=name)
        evidence = [value for name, value in masked.items() if name in ("evidence_images", "evidence_local")]
        total = sum(value.sum((1, 2)) for value in evidence) + masked["evidence_rest"]
        logits = masked["logits"] - masked["logits"].mean(-1, keepdims=True)
        np.testing.assert_allclose(total, logits, atol=2e-6)
