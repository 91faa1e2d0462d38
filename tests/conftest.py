"""A fresh Keras for every test, on the backend that KERAS_BACKEND names; a quiet log."""

import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "agg")
if os.environ.get("KERAS_BACKEND") == "jax":
    # Tests run once what they compile. (Level 0 is faster still, and computes NaN: JAX 0.10, max-pooling.)
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")

import keras
import pytest

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    from tensorflow.python.framework.config import disable_op_determinism

    # Two devices for the tests of strategies, set before TensorFlow starts.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )


@pytest.fixture(autouse=True)
def a_fresh_keras():
    """Layer-name counters, seeds and the dtype policy as in a new process."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")
    if keras.backend.backend() == "tensorflow":
        disable_op_determinism()  # a command with --deterministic was run in this process


@pytest.fixture
def fresh_process():
    """Run a program, a text, in a Python of its own; its output, if it ends well."""

    def run(program: str, *arguments: str, **options) -> str:
        words = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(words, capture_output=True, text=True, **options)
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    return run


@pytest.fixture
def without_evidence():
    """A network whose logits are no sum over places: a swish stands before its classifier."""
    from attention_keras import Classifier

    images = keras.Input((32, 32, 3), name="images")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="preprocess")(images)
    x = keras.layers.Conv2D(4, 3, 2, activation="relu", name="conv13")(x)
    x = keras.layers.Dense(6, activation="swish", name="hidden")(keras.layers.GlobalMaxPooling2D()(x))
    return Classifier(images, {"logits": keras.layers.Dense(3, name="classifier")(x)}, name="swished")
