"""attend() on what cannot work: one line that says what to do, and what it says works."""

import keras
import pytest
from keras import layers
from small_backbones import convolutions, mobilenet

import attention_keras
from attention_keras import attend
from attention_keras.errors import UserError
from attention_keras.heads import LinearHead

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="test_attend.py runs on every backend",
)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(4, 3)

    def call(self, images):
        return self.conv(images)


def several_outputs_without_g():
    early = convolutions()
    return attend(
        keras.Model(early.inputs, [early.output, early.get_layer("early").output]),
        ["early"],
        5,
        head="linear",
    )


def tokens_of_no_map():
    images = keras.Input((32, 48, 3))
    x = layers.Reshape((20, 6), name="tokens")(layers.Conv2D(5, 8, 8)(images))
    return attend(keras.Model(images, x), ["tokens"], 5)


def with_its_top():
    top = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=7)
    return attend(top, ["out_relu"], 5)


def named_as_the_head():
    backbone = convolutions()
    return attend(
        keras.Model(backbone.input, layers.ReLU(name="classifier")(backbone.output)),
        ["late"],
        5,
        head="linear",
    )


def pooled():
    backbone = convolutions()
    return keras.Model(backbone.input, layers.GlobalAveragePooling2D(name="pool")(backbone.output))


def two_of_one_name():
    images = keras.Input((32, 32, 3))
    one, two = convolutions(), convolutions()
    one.name, two.name = "one", "two"
    backbone = keras.Model(images, layers.Add()([one(images), two(images)]))
    return attend(backbone, ["one/late", "two/late"], 5)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: attend(Subclassed(), ["conv"], 5), "is subclassed, .* give keras.Model"),
        (lambda: attend("MobileNetV2", ["conv"], 5), "a keras.Model is needed; got str"),
        (lambda: attend(keras.Sequential([layers.Conv2D(4, 3)]), ["c"], 5), "begin it with keras.Input"),
        (several_outputs_without_g, "has several outputs; say which is g with LinearHead"),
        (tokens_of_no_map, "'tokens' has 20 tokens, and nothing says which map they make"),
        (with_its_top, "ends in its classifier, 7 probabilities; build it with include_top=False"),
        (two_of_one_name, "several layers called late; give a mapping"),
        (lambda: attend(convolutions((None, None, 3)), "auto", 5), "needs images of a fixed size"),
        (lambda: attend(convolutions(), "early", 5), "layer names in a list"),
        (lambda: attend(convolutions(), [], 5), "taps is empty"),
        (lambda: attend(convolutions(), [3], 5), "taps are layer names"),
        (lambda: attend(pooled(), ["pool"], 5), "a feature map"),
        (lambda: attend(convolutions(), ["early/x"], 5), "no layer 'early/x'; the closest"),
        (lambda: attend(mobilenet(), ["x/block"], 5), "no layer 'x/block'; the closest names"),
        (lambda: attend(convolutions(), ["early"], 5, preprocess="ResNet5"), "closest names are ResNet50"),
        (lambda: attend(convolutions(), ["early"], 5, preprocess=lambda x: x), "preprocess is a Keras layer"),
        (
            lambda: attend(convolutions(), ["early"], 5, head=LinearHead(global_features={"x": "late"})),
            "one g for each of early",
        ),
        (
            lambda: attend(convolutions(), ["early"], 5, head=LinearHead(global_features=3)),
            "g must be the path .* got int",
        ),
        (lambda: attend(convolutions(), {"rest": "early"}, 5), "a tap cannot be called 'rest'"),
        (lambda: attend(convolutions(), {"a/b": "early"}, 5), "a tap cannot be called 'a/b'"),
        (lambda: attend(convolutions(), {"a": convolutions().output}, 5), "tap 'a' is .* of another graph"),
        (lambda: attend(convolutions(), {"a": convolutions().layers[1]}, 5), "tap 'a' must be .* got Conv2D"),
        (named_as_the_head, "a layer called 'classifier', and so has the part that attend"),
        (lambda: attend(convolutions((32, 32, 1)), "auto", 5, preprocess="ResNet50"), r"takes \(32, 32, 1\)"),
    ],
)
def test_what_cannot_work_ends_in_one_line(make, said):
    with pytest.raises(UserError, match=said) as error:
        make()
    assert "\n" not in str(error.value)


def test_a_subclassed_model_works_as_the_message_says():
    images = keras.Input((32, 32, 3))
    model = attend(keras.Model(images, Subclassed()(images)), ["subclassed"], 5)
    assert model.output["attention_subclassed"].shape == (None, 30, 30)


def test_taps_by_mapping_tell_two_layers_of_one_name_apart():
    images = keras.Input((32, 32, 3))
    one, two = convolutions(), convolutions()
    one.name, two.name = "one", "two"
    backbone = keras.Model(images, layers.Add()([one(images), two(images)]))
    model = attend(backbone, {"a": "one/late", "b": "two/late"}, 5)
    assert set(model.output) == {"logits", "level_logits", "attention_a", "attention_b"}
    assert attention_keras.UserError is UserError
