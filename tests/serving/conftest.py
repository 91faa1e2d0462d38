"""One finished run with a temperature, exported once in every format, for all tests of serving."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.special import softmax
from small_run import TEMPERATURE, scatter, write_run
from stand_in_server import StandInServer

from attention_keras import build_model
from attention_keras.serving.export import export_run


@pytest.fixture(scope="session")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype="uint8")


@pytest.fixture
def picture(images, tmp_path):
    Image.fromarray(images[1]).save(tmp_path / "my image.png")
    return tmp_path / "my image.png"


@pytest.fixture(scope="session")
def model():
    keras.utils.set_random_seed(0)
    return scatter(build_model("vgg-att2-concat-pc", num_classes=3, width=0.05))


@pytest.fixture(scope="session")
def run_path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "digits"
    return write_run(path, model, test_error=0.5, temperature=TEMPERATURE)


@pytest.fixture(scope="session")
def written(run_path, tmp_path_factory):
    """Format -> what `export` says of it."""
    pytest.importorskip("tf2onnx")
    formats = ["saved_model", "litert", "onnx"]
    return dict(zip(formats, export_run(run_path, tmp_path_factory.mktemp("exports"), formats=formats)))


@pytest.fixture(scope="session")
def exported(written):
    """The version's directory."""
    return written["saved_model"].path


@pytest.fixture(scope="session")
def served(exported):
    """The signatures, each from arrays to arrays."""
    loaded = tf.saved_model.load(str(exported))

    def call(function):
        return lambda loaded=loaded, **inputs: {  # it holds the variables
            name: value.numpy()
            for name, value in function(**{k: tf.constant(v) for k, v in inputs.items()}).items()
        }

    return {name: call(function) for name, function in loaded.signatures.items()}


@pytest.fixture(scope="session")
def logits(model, images):
    return np.asarray(model(images.astype("float32"))["logits"])


@pytest.fixture(scope="session")
def expected(model, images):
    """Probabilities and maps as the Keras model gives them."""
    outputs = {name: np.asarray(value) for name, value in model(images.astype("float32")).items()}
    return {"probabilities": softmax(outputs.pop("logits") / TEMPERATURE, axis=-1), **outputs}


@pytest.fixture(scope="session")
def server(exported):
    with StandInServer(exported) as running:
        yield running
