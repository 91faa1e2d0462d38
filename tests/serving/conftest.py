"""One small exported model for all tests of serving, and its Keras outputs."""

import numpy as np
import pytest
from PIL import Image

from attention_keras import build_model
from attention_keras.commands.ask import main
from attention_keras.commands.command_line import exit_code
from attention_keras.serving.export import export_model

NAMES = ["zero", "one", "two"]


@pytest.fixture(scope="session")
def class_names():
    return NAMES


@pytest.fixture(scope="session")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype="uint8")


@pytest.fixture(scope="session")
def model():
    return build_model("vgg-att2-concat-pc", num_classes=3, width=0.05)


@pytest.fixture(scope="session")
def exported(model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("exports") / "digits"
    return export_model(model, directory, class_names=NAMES, card={"dataset": "digits", "test_error": 0.5})


@pytest.fixture(scope="session")
def expected(model, images):
    """Probabilities and maps as the Keras model gives them."""
    outputs = model.predict(images.astype("float32"), verbose=0)
    exponentials = np.exp(outputs.pop("logits"))
    return {"probabilities": exponentials / exponentials.sum(-1, keepdims=True), **outputs}


@pytest.fixture
def pictures(images, tmp_path):
    """The images as files."""
    paths = [tmp_path / f"{name}.png" for name in ("red", "green", "blue")]
    for path, image in zip(paths, images):
        Image.fromarray(image).save(path)
    return paths


@pytest.fixture
def client(monkeypatch, tmp_path):
    """`attention-keras ask`, with `attention/` in a folder of its own; returns the exit code."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: exit_code(lambda: main([*map(str, words)], "attention-keras ask"))
