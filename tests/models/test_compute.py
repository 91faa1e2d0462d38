"""Multiply-accumulates: of the paper's networks, and of layers counted by hand."""

import keras
import pytest

from attention_keras.models.parts import count_macs
from attention_keras.models.zoo import build_model


def test_compute_is_counted_on_the_graph():
    """Of images of 80x80, without a weight; tests/commands/test_list_models.py counts those of 32x32."""
    for name, gigamacs in (("vgg", 1.92), ("vgg-att2-concat-pc", 13.11)):
        with keras.StatelessScope(initialize_variables=False):
            model = build_model(name, (80, 80, 3))
        assert count_macs(model) / 1e9 == pytest.approx(gigamacs, rel=2e-3)


def test_compute_of_depthwise_and_separable_convolutions():
    images = keras.Input((8, 8, 3))
    x = keras.layers.SeparableConv2D(5, 3, padding="same")(images)
    x = keras.layers.DepthwiseConv2D(3, 2, padding="same")(x)
    assert count_macs(keras.Model(images, x)) == 64 * (9 * 3 + 3 * 5) + 16 * 9 * 5
