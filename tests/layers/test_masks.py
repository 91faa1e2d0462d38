"""A map with padding and a mask of its valid places answers as the map without it, on any backend."""

import keras
import numpy as np
from keras import layers, ops

from attention_keras.layers import AttentionPool, ClassAttention
from attention_keras.models.evidence import evidence_model

VALID = -1  # the channel of the images below that says which places are no padding


def arrays(outputs):
    return {name: np.asarray(ops.convert_to_numpy(value)) for name, value in outputs.items()}


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
