"""attend(): widths, g, whose weights train; on every backend."""

import keras
import numpy as np
from keras import layers
from small_backbones import convolutions

from attention_keras import attend
from attention_keras.heads import LinearHead, PaperHead


def test_widths_are_made_to_agree_by_an_explicit_projection():
    for project, width in (("down", 6), ("up", 8)):
        model = attend(convolutions(), ["early"], 5, head=PaperHead(project=project))
        assert model.get_layer("pool_early").output[0].shape == (None, width)
        assert model.get_layer("project_early").output.shape[-1] == width


def test_taps_by_tensor_and_a_global_of_ones_own():
    backbone = convolutions()
    g = layers.Dense(6, name="mine")(layers.GlobalMaxPooling2D()(backbone.output))
    taps = {"first": backbone.get_layer("early").output}
    model = attend(backbone, taps, 5, head=LinearHead(global_features=g))
    assert list(model.output) == ["logits", "attention_first"]
    assert model.get_layer("global_features").output.shape == (None, 6)


def convolution():
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv")(images)
    return keras.Model(images, layers.BatchNormalization(name="norm")(x))


def moved_by_training(model, backbone):
    """Which weights of the backbone a step of training changes, statistics among them."""
    before = [weight.copy() for weight in backbone.get_weights()]
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(np.random.default_rng(1).uniform(-1, 1, (4, 8, 8, 3)), np.arange(4) % 3, verbose=0)
    return {bool(np.abs(a - b).max() > 0) for a, b in zip(before, backbone.get_weights())}


def test_the_backbone_s_own_layers_train_and_can_be_frozen_before_and_afterwards():
    backbone = convolution()
    model = attend(backbone, ["norm"], 3, head="linear")
    assert moved_by_training(model, backbone) == {True}
    backbone.trainable = False
    assert moved_by_training(model, backbone) == {False}
    assert moved_by_training(attend(backbone, ["norm"], 3, head="linear"), backbone) == {False}
    assert not backbone.trainable


def test_a_copy_has_the_weights_and_the_flags_and_leaves_the_backbone_as_it_is():
    for trainable, preprocess in ((True, None), (False, None), (True, "ResNet50"), (False, "ResNet50")):
        backbone = convolution()
        backbone.trainable = trainable
        model = attend(backbone, ["norm"], 3, head="linear", copy=True, preprocess=preprocess)
        copy = next(layer for layer in model._flatten_layers() if layer.name == "conv")
        kernel = copy.get_weights()[0].copy()
        np.testing.assert_array_equal(kernel, backbone.get_weights()[0])
        assert moved_by_training(model, backbone) == {False}
        assert bool(np.abs(copy.get_weights()[0] - kernel).max() > 0) == trainable
