"""A backbone for images of another size: the same weights, and a refusal where they would not fit."""

import keras
import numpy as np
import pytest

from attention_keras.errors import UserError
from attention_keras.models.copies import for_image_size
from attention_keras.models.maps import averaged_map


def convolutional():
    inner_images = keras.Input((16, 16, 3))
    inner = keras.Model(inner_images, keras.layers.Conv2D(4, 3, padding="same")(inner_images), name="inner")
    images = keras.Input((16, 16, 3))
    norm = keras.layers.Normalization(mean=[1.0, 2, 3], variance=[4.0, 5, 6])
    x = keras.layers.BatchNormalization()(inner(norm(images)))
    return keras.Model(images, keras.layers.DepthwiseConv2D(3, strides=2, padding="same")(x))


def test_places_far_from_the_border_say_the_same():
    backbone = convolutional()
    for weight in backbone.get_layer("inner").weights:
        weight.assign(np.random.default_rng(0).uniform(-1, 1, weight.shape))
    larger = for_image_size(backbone, (32, 24))
    assert larger.output.shape == (None, 16, 12, 4)
    images = np.random.default_rng(1).uniform(0, 255, (2, 32, 24, 3)).astype("float32")
    found = larger.predict(images, verbose=0)[:, 1:7, 1:7]
    expected = backbone.predict(images[:, :16, :16], verbose=0)[:, 1:7, 1:7]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_a_dense_layer_on_the_pixels_is_refused():
    images = keras.Input((8, 8, 3))
    flat = keras.Model(images, keras.layers.Dense(2)(keras.layers.Flatten()(images)), name="flat")
    with pytest.raises(UserError, match=r"flat cannot take images of 16x16: only a convolutional"):
        for_image_size(flat, (16, 16))


def test_an_average_stays_an_average():
    images = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(images))
    assert averaged_map(for_image_size(keras.Model(images, x), (16, 16)).output).shape == (None, 14, 14, 4)
