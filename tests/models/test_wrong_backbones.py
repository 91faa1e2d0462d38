"""attend() and its heads on what cannot work: one line that says what to do, and what it says works."""

import keras
import pytest
from keras import layers
from small_backbones import convolutions, mobilenet

from attention_keras import attend, build_model
from attention_keras.errors import UserError
from attention_keras.heads import LinearHead, PaperHead
from attention_keras.models.spec import ModelSpec

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the same Keras code on every backend"
)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(4, 3)

    def call(self, images):
        return self.conv(images)


def small(taps=("early",), shape=(32, 32, 3), classes=5, **options):
    return lambda: attend(convolutions(shape), taps, classes, **options)


def on(make, *taps, **options):
    return lambda: attend(make(), list(taps), 5, **options)


def two_of_one_name():
    images = keras.Input((32, 32, 3))
    return keras.Model(images, layers.Add()([convolutions(name=name)(images) for name in ("one", "two")]))


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
    "begin it with keras.Input": on(lambda: keras.Sequential([layers.Conv2D(4, 3)]), "c"),
    "has several outputs; say which is g with LinearHead": on(two_outputs, "early", head="linear"),
    "'tokens' has 20 tokens, and nothing says": on(tokens_of_no_map, "tokens"),
    "ends in its classifier, 7 probabilities; build it with include_top=False": on(
        lambda: mobilenet(include_top=True, classes=7), "out_relu"
    ),
    "several layers of one name, .*; give a mapping": on(two_of_one_name, "one/late", "two/late"),
    "needs images of a fixed size": small("auto", (None, None, 3)),
    "layer names in a list": small("early"),
    "taps is empty": small([]),
    "taps are layer names": small([3]),
    "a feature map": on(a_vector, "pool"),
    "no layer 'early/x'; the closest": small(["early/x"]),
    "keras.applications has no 'ResNet5'; perhaps one of ResNet50": small(preprocess="ResNet5"),
    "has no 'MobilNet'": lambda: build_model(ModelSpec("keras:MobilNet", taps=("x",))),
    "use width 1": lambda: build_model(ModelSpec("keras:MobileNetV2", taps=("x",)), width=0.5),
    "preprocess is a Keras layer": small(preprocess=lambda x: x),
    "one g for each of early": small(head=LinearHead(global_features={"x": "late"})),
    "g must be the path .* got int": small(head=LinearHead(global_features=3)),
    "a tap cannot be called 'rest'": small({"rest": "early"}),
    "the averaged map; call the tap otherwise": small({"global": "early"}, head="linear"),
    "tap 'a' must be .* got Conv2D": small({"a": layers.Conv2D(3, 3)}),
    r"takes \(32, 32, 1\)": small("auto", (32, 32, 1), preprocess="ResNet50"),
    "local_norm must be one of image, position, channel, none": lambda: LinearHead(local_norm="batch"),
    "aggregate must be one of concat, indep; got 'sum'": lambda: PaperHead(aggregate="sum"),
    "score must be one of dp": lambda: PaperHead("cosine"),
    "head must be one of 'class', 'linear', .* got 'mlp'": small(head="mlp"),
    "head must be one of 'class', 'linear', .* got <class": small(head=LinearHead),
    "say how many classes there are": small(classes=None),
    "activation must be one of softmax": small(activation="relu"),
}


def test_what_cannot_work_ends_in_one_line():
    for said, make in WRONG.items():
        with pytest.raises(UserError, match=said) as error:
            make()
        assert "\n" not in str(error.value), said


def test_a_global_that_cannot_be_included_is_refused():
    backbone = convolutions()
    flat = layers.Dense(4)(layers.Flatten()(backbone.output))
    for options in ({"aggregate": "indep"}, {"global_features": flat}, {"global_features": {"late": flat}}):
        with pytest.raises(UserError, match="include_global=True needs"):
            attend(backbone, ["late"], 5, head=LinearHead(include_global=True, **options))


def test_what_the_messages_say_works():
    images = keras.Input((32, 32, 3))
    model = attend(keras.Model(images, Subclassed()(images)), ["subclassed"], 5)
    assert model.output["attention_subclassed"].shape == (None, 30, 30)
    model = attend(two_of_one_name(), {"a": "one/late", "b": "two/late"}, 5)
    assert set(model.output) == {"logits", "level_logits", "attention_a", "attention_b"}
