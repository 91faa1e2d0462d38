"""attend() on what cannot work: one line that says what to do, and what it says works."""

import keras
import pytest
from keras import layers
from small_backbones import convolutions, mobilenet

from attention_keras import attend, build_model
from attention_keras.errors import UserError
from attention_keras.heads import LinearHead
from attention_keras.models.spec import ModelSpec

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="test_attend.py runs on every backend"
)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(4, 3)

    def call(self, images):
        return self.conv(images)


def small(taps=("early",), shape=(32, 32, 3), **options):
    return attend(convolutions(shape), taps, 5, **options)


def with_layer(layer, of="late"):
    """The convolutions and one more layer."""
    backbone = convolutions()
    return keras.Model(backbone.input, layer(backbone.get_layer(of).output))


def two_of_one_name():
    images = keras.Input((32, 32, 3))
    return keras.Model(images, layers.Add()([convolutions(name=name)(images) for name in ("one", "two")]))


def two_outputs():
    backbone = convolutions()
    return keras.Model(backbone.input, [backbone.output, backbone.get_layer("early").output])


def tokens_of_no_map():
    images = keras.Input((32, 48, 3))
    return keras.Model(images, layers.Reshape((20, 6), name="tokens")(layers.Conv2D(5, 8, 8)(images)))


WRONG = {
    "is subclassed, .* give keras.Model": lambda: attend(Subclassed(), ["conv"], 5),
    "a keras.Model is needed; got str": lambda: attend("MobileNetV2", ["conv"], 5),
    "begin it with keras.Input": lambda: attend(keras.Sequential([layers.Conv2D(4, 3)]), ["c"], 5),
    "has several outputs; say which is g with LinearHead": lambda: attend(
        two_outputs(), ["early"], 5, head="linear"
    ),
    "'tokens' has 20 tokens, and nothing says": lambda: attend(tokens_of_no_map(), ["tokens"], 5),
    "ends in its classifier, 7 probabilities; build it with include_top=False": lambda: attend(
        mobilenet(include_top=True, classes=7), ["out_relu"], 5
    ),
    "several layers called late; give a mapping": lambda: attend(
        two_of_one_name(), ["one/late", "two/late"], 5
    ),
    "needs images of a fixed size": lambda: small("auto", (None, None, 3)),
    "layer names in a list": lambda: small("early"),
    "taps is empty": lambda: small([]),
    "taps are layer names": lambda: small([3]),
    "a feature map": lambda: attend(with_layer(layers.GlobalMaxPooling2D(name="pool")), ["pool"], 5),
    "no layer 'early/x'; the closest": lambda: small(["early/x"]),
    "closest names are ResNet50": lambda: small(preprocess="ResNet5"),
    "closest names are MobileNet": lambda: build_model(ModelSpec("keras:MobilNet", taps=("x",))),
    "use width 1": lambda: build_model(ModelSpec("keras:MobileNetV2", taps=("x",)), width=0.5),
    "preprocess is a Keras layer": lambda: small(preprocess=lambda x: x),
    "one g for each of early": lambda: small(head=LinearHead(global_features={"x": "late"})),
    "g must be the path .* got int": lambda: small(head=LinearHead(global_features=3)),
    "a tap cannot be called 'rest'": lambda: small({"rest": "early"}),
    "a tap cannot be called 'a/b'": lambda: small({"a/b": "early"}),
    "tap 'a' is .* of another graph": lambda: small({"a": convolutions().output}),
    "tap 'a' must be .* got Conv2D": lambda: small({"a": convolutions().layers[1]}),
    "a layer called 'classifier', and so has the part that attend": lambda: attend(
        with_layer(layers.ReLU(name="classifier")), ["late"], 5, head="linear"
    ),
    r"takes \(32, 32, 1\)": lambda: small("auto", (32, 32, 1), preprocess="ResNet50"),
}


def test_what_cannot_work_ends_in_one_line():
    for said, make in WRONG.items():
        with pytest.raises(UserError, match=said) as error:
            make()
        assert "\n" not in str(error.value), said


def test_what_the_messages_say_works():
    images = keras.Input((32, 32, 3))
    model = attend(keras.Model(images, Subclassed()(images)), ["subclassed"], 5)
    assert model.output["attention_subclassed"].shape == (None, 30, 30)
    model = attend(two_of_one_name(), {"a": "one/late", "b": "two/late"}, 5)
    assert set(model.output) == {"logits", "level_logits", "attention_a", "attention_b"}
