"""attend() on what cannot work: one line that says what to do."""

import keras
import pytest
from keras import layers
from small_backbones import convolutions, mobilenet

from attention_keras import attend
from attention_keras.errors import UserError
from attention_keras.heads import LinearHead, PaperHead

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the same Keras code on every backend"
)


class Subclassed(keras.Model):
    pass


def small(taps=("early",), shape=(32, 32, 3), classes=5, **options):
    return lambda: attend(convolutions(shape), taps, classes, **options)


def on(make, *taps, **options):
    return lambda: attend(make(), list(taps), 5, **options)


def two_outputs():
    backbone = convolutions()
    return keras.Model(backbone.input, [backbone.output, backbone.get_layer("early").output])


def tokens_of_no_map():
    images = keras.Input((32, 48, 3))
    return keras.Model(images, layers.Reshape((20, 6), name="tokens")(layers.Conv2D(5, 8, 8)(images)))


def a_vector():
    backbone = convolutions()
    return keras.Model(backbone.input, layers.GlobalMaxPooling2D(name="pool")(backbone.output))


WRONG = {
    "is subclassed, .* give keras.Model": on(Subclassed, "conv"),
    "a keras.Model is needed; got str": on(lambda: "MobileNetV2", "conv"),
    "has several outputs; say which is g with LinearHead": on(two_outputs, "early", head="linear"),
    "'tokens' has 20 tokens, and nothing says": on(tokens_of_no_map, "tokens"),
    "ends in its classifier, 7 probabilities; build it with include_top=False": on(
        lambda: mobilenet(include_top=True, classes=7), "out_relu"
    ),
    "needs images of a fixed size": small("auto", (None, None, 3)),
    "taps is empty": small([]),
    "a feature map": on(a_vector, "pool"),
    "no layer 'early/x'; the closest": small(["early/x"]),
    "keras.applications has no 'ResNet5'; perhaps one of ResNet50": small(preprocess="ResNet5"),
    "a tap cannot be called 'rest'": small({"rest": "early"}),
    r"takes \(32, 32, 1\)": small("auto", (32, 32, 1), preprocess="ResNet50"),
    "include_global=True needs": small(head=LinearHead(include_global=True, aggregate="indep")),
    "score must be one of dp": lambda: PaperHead("cosine"),
    "say how many classes there are": small(classes=None),
    "activation must be one of softmax": small(activation="relu"),
}


def test_what_cannot_work_ends_in_one_line():
    for said, make in WRONG.items():
        with pytest.raises(UserError, match=said) as error:
            make()
        assert "\n" not in str(error.value), said
