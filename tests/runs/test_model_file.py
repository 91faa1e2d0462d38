"""The image size of a backbone's file is known without building the network."""

import keras
import pytest

from attention_keras.errors import UserError
from attention_keras.runs import model_file
from attention_keras.runs.model_file import image_side


def functional(side):
    images = keras.Input((side, side, 3))
    return keras.Model(images, keras.layers.Conv2D(2, 3)(images))


def sequential():
    return keras.Sequential([keras.Input((20, 20, 3)), keras.layers.Conv2D(2, 3)])


@pytest.mark.parametrize(
    "make, side", [(lambda: functional(24), 24), (lambda: functional(None), None), (sequential, 20)]
)
def test_the_side_stands_in_the_description(tmp_path, monkeypatch, make, side):
    make().save(tmp_path / "m.keras")
    monkeypatch.setattr(model_file, "load_model", lambda path: pytest.fail("it was built"))
    assert image_side(tmp_path / "m.keras") == side


def test_a_model_that_does_not_say_is_loaded(tmp_path):
    model = keras.Sequential([keras.layers.Conv2D(2, 3)])
    model.build((None, 28, 28, 3))
    model.save(tmp_path / "m.keras")
    assert image_side(tmp_path / "m.keras") == 28


def test_files_that_are_no_models_are_told_as_ever(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"it is not a \.keras archive"):
        image_side(tmp_path / "m.keras")
    with pytest.raises(UserError, match="it is missing"):
        image_side(tmp_path / "other.keras")
