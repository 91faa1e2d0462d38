"""Weights that move to another model move with what layers derive from them."""

import keras
import numpy as np
import pytest
from keras import layers

from attention_keras import attend
from attention_keras.models.copies import copy_model, copy_weights, in_float32, transfer_weights

PIXELS = np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3)).astype("float32")


def adapted(pixels=PIXELS):
    """A backbone that normalises pixels by their statistics, and its own part of that in a nested model."""
    normalization = layers.Normalization(name="norm")
    normalization.adapt(pixels)
    inner = keras.Input((16, 16, 3))
    inner = keras.Model(inner, normalization(inner), name="inner")
    images = keras.Input((16, 16, 3))
    return keras.Model(images, layers.Conv2D(6, 3, name="early")(inner(images)))


def normalized(model):
    """What the model makes of PIXELS with its normalisation alone."""
    return keras.ops.convert_to_numpy(model.get_layer("inner")(PIXELS)).astype("float32")


def attended():
    return attend(adapted(), ["early"], 4)


def transferred():
    target = attend(adapted(PIXELS / 255), ["early"], 4)
    transfer_weights(attended(), target)
    return target


def in_low_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    return attended()


@pytest.mark.parametrize(
    "make",
    [
        lambda: copy_model(adapted()),
        lambda: attend(adapted(), ["early"], 4, copy=True),
        lambda: in_float32(in_low_precision()),
        transferred,
    ],
    ids=["copy", "attended copy", "float32", "transferred"],
)
def test_a_normalization_computes_with_the_statistics_that_it_was_given(make):
    expected = (PIXELS - PIXELS.mean((0, 1, 2))) / PIXELS.std((0, 1, 2))
    np.testing.assert_allclose(normalized(make()), expected, atol=1e-3)


def test_other_layers_are_an_error():
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        copy_weights(attended(), adapted())
