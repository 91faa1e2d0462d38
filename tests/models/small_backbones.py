"""Two small backbones that tests attend to: an application, and two convolutions."""

import keras
from keras import layers


def mobilenet(**options):
    options = {"include_top": False, "weights": None, "input_shape": (32, 32, 3), "alpha": 0.35, **options}
    return keras.applications.MobileNetV2(name="mobilenetv2", **options)


def convolutions(shape=(32, 32, 3)):
    inputs = keras.Input(shape)
    x = layers.Conv2D(6, 3, 2, padding="same", activation="relu", name="early")(inputs)
    return keras.Model(inputs, layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="late")(x))
