"""Multiply-accumulates: of the paper's networks, and of layers counted by hand."""

import keras
import pytest

from attention_keras.models.compute import count_macs
from attention_keras.models.zoo import build_model


@pytest.mark.parametrize(
    ("name", "size", "gigamacs"),
    [
        ("vgg", 32, 0.313),
        ("vgg", 80, 1.92),
        ("vgg-att2-concat-pc", 32, 3.786),
        ("vgg-att2-concat-pc", 80, 13.11),
    ],
)
def test_compute_is_counted_on_the_graph(name, size, gigamacs):
    assert count_macs(build_model(name, (size, size, 3))) / 1e9 == pytest.approx(gigamacs, rel=2e-3)


def test_compute_of_depthwise_and_separable_convolutions():
    images = keras.Input((8, 8, 3))
    x = keras.layers.SeparableConv2D(5, 3, padding="same")(images)
    x = keras.layers.DepthwiseConv2D(3, 2, padding="same")(x)
    assert count_macs(keras.Model(images, x)) == 64 * (9 * 3 + 3 * 5) + 16 * 9 * 5


@pytest.mark.slow
def test_compute_of_the_resnet():
    assert count_macs(build_model("rn164")) / 1e9 == pytest.approx(0.244, rel=5e-3)
