"""A map with padding and a mask of its valid places answers as the map without it, on any backend."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from attention_keras.layers import AttentionPool, ClassAttention
from attention_keras.layers.evidence import Evidence
from attention_keras.models.evidence import evidence_model

VALID = -1
"""The channel of the images below that says which places are no padding."""


def numpy(tensor):
    return np.asarray(ops.convert_to_numpy(tensor))


def padded(maps):
    """Two rows and three columns more, of numbers that must not matter, and with VALID 0."""
    wide = np.random.default_rng(1).normal(3, 5, (len(maps), 5, 7, maps.shape[-1])).astype("float32")
    wide[..., VALID] = 0
    wide[:, :3, :4] = maps
    return wide


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


@pytest.mark.parametrize("normalization", ["softmax", "sigmoid"])
def test_logits_and_evidence_are_those_of_the_map_without_padding(normalization):
    keras.utils.set_random_seed(0)
    small, large = map(evidence_model, classifiers(normalization))
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype("float32")
    maps[..., VALID] = 1
    plain = {name: numpy(value) for name, value in small(maps).items()}
    masked = {name: numpy(value) for name, value in large(padded(maps)).items()}
    for name, expected in plain.items():
        found = masked[name]
        if found.ndim > 2:
            assert not found[:, 3:].any() and not found[:, :, 4:].any(), name
            found = found[:, :3, :4]
        np.testing.assert_allclose(found, expected, atol=2e-6, err_msg=name)
    maps = [value for name, value in masked.items() if name.startswith("evidence_") and value.ndim == 4]
    total = sum(value.sum((1, 2)) for value in maps)
    logits = masked["logits"] - masked["logits"].mean(-1, keepdims=True)
    np.testing.assert_allclose(total + masked["evidence_rest"], logits, atol=2e-6)


@pytest.mark.parametrize("by", ["average", "max"])
def test_an_average_and_a_maximum_leave_padding_out(by):
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype("float32")
    maps[..., VALID] = 1
    kernel = np.random.default_rng(2).normal(size=(4, 2)).astype("float32")

    def explained(maps, **mask):
        pool = {"kind": "pool", "by": by, "features": 0, "inputs": []} | mask
        step = {"kind": "dense", "id": 0, "weights": {"kernel": [4, 2]}, "is_rest": False, "inputs": [pool]}
        layer = Evidence(2, step)
        layer.build(None)
        layer.weight_0_kernel.assign(kernel)
        (evidence,), _ = layer([maps, maps[..., VALID] > 0])
        return numpy(evidence)

    found = explained(padded(maps), valid=1)
    np.testing.assert_allclose(found[:, :3, :4], explained(maps), atol=1e-6)
    assert not found[:, 3:].any() and not found[:, :, 4:].any()
    logits = (maps.mean((1, 2)) if by == "average" else maps.max((1, 2))) @ kernel
    np.testing.assert_allclose(found.sum((1, 2)), logits - logits.mean(-1, keepdims=True), atol=2e-6)
