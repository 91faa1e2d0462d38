"""Networks that are soon built, saved and compiled."""

import keras

from attention_keras import attend
from attention_keras.heads import PaperHead


def small(name: str) -> keras.Model:
    """Three convolutions, two of them called as the taps of VGG, under the head that `name` stands for."""
    images = x = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="preprocess")(x)
    for layer, channels in (("conv10", 6), ("conv13", 8), ("top", 8)):
        x = keras.layers.Conv2D(channels, 3, 2, "same", activation="relu", name=layer)(x)
    if name == "vgg":
        return keras.Model(images, {"logits": keras.layers.Dense(10)(keras.layers.Flatten()(x))})
    if name == "vgg-gap":
        logits = keras.layers.Dense(10, name="classifier")(keras.layers.GlobalAveragePooling2D()(x))
        return keras.Model(images, {"logits": logits})
    taps = ["conv10", "conv13"] if "att2" in name else ["conv13"]
    return attend(keras.Model(images, x), taps, num_classes=10, head=PaperHead(name[-2:]))
