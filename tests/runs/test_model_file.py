"""The image size of a backbone's file is known without building the network; old files load."""

from pathlib import Path

import keras
import numpy as np
import pytest

from attention_keras import load_model
from attention_keras.data.datasets import load_dataset
from attention_keras.runs import model_file
from attention_keras.runs.model_file import image_side


def test_the_side_stands_in_the_description_and_a_model_that_does_not_say_is_loaded(tmp_path, monkeypatch):
    file, layer = tmp_path / "m.keras", keras.layers.Conv2D(2, 3)
    silent = keras.Sequential([layer])
    silent.build((None, 28, 28, 3))
    silent.save(file)
    assert image_side(file) == 28
    monkeypatch.setattr(model_file, "load_model", lambda path: pytest.fail("it was built"))
    for side in (24, None):
        images = keras.Input((side, side, 3))
        for model in (keras.Model(images, layer(images)), keras.Sequential([images, layer])):
            model.save(file)
            assert image_side(file) == side


def test_a_model_with_a_batch_normalisation_of_this_package_loads_with_its_numbers():
    """Files made before Keras's own layer was used name another one; 0.917 is what its training measured."""
    model = load_model(Path(__file__).parent / "saved" / "fused_batch_norm.keras")
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert max(float(np.abs(layer.moving_mean).max()) for layer in norms) > 0.01  # trained, and loaded
    test = load_dataset("cluttered_digits", limit=60).test()
    logits = np.asarray(model(test.images.astype("float32"))["logits"])
    assert np.mean(logits.argmax(-1) != test.labels) == pytest.approx(0.9166666)
