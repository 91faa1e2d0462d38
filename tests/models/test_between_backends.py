"""A file saved under JAX, by the lowest Keras that the package supports, gives its numbers everywhere.

`KERAS_BACKEND=jax python tests/models/test_between_backends.py` writes it anew.
"""

from pathlib import Path

import keras
import numpy as np

from attention_keras import attend, load_model
from attention_keras.heads import LinearHead
from attention_keras.layers import build_preprocess

SAVED = Path(__file__).parent / "saved"


def build():
    """Layers of this package and of Keras: pixels contrasted, two taps, a classifier for each."""
    rng = np.random.default_rng(0)
    pixels = keras.Input((8, 8, 3))
    x = build_preprocess("yuv_lcn", rng.integers(0, 256, (20, 8, 8, 3), dtype="uint8"))(pixels)
    for name in ("early", "late"):
        x = keras.layers.Conv2D(6, 3, padding="same")(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Activation("swish", name=name)(x)
        x = keras.layers.MaxPooling2D()(x)
    head = LinearHead("additive", aggregate="indep")
    return attend(keras.Model(pixels, x), ["early", "late"], 3, head=head)


def write():
    keras.utils.set_random_seed(0)
    model = build()
    rng = np.random.default_rng(1)
    for weight in model.weights:  # biases and statistics too, which start as zeros and ones
        positive = "variance" in weight.path
        weight.assign(rng.uniform(0.5 if positive else -1, 1, weight.shape))
    images = rng.uniform(0, 255, (4, 8, 8, 3)).astype("float32")
    model.save(SAVED / "jax.keras")
    np.savez_compressed(SAVED / "jax.npz", images=images, **model.predict(images, verbose=0))


def test_outputs_are_those_it_was_saved_with():
    saved = dict(np.load(SAVED / "jax.npz"))
    outputs = load_model(SAVED / "jax.keras").predict(saved.pop("images"), verbose=0)
    assert set(outputs) == set(saved) == {"logits", "level_logits", "attention_early", "attention_late"}
    for name, expected in saved.items():
        np.testing.assert_allclose(outputs[name], expected, atol=1e-5, err_msg=name)
    assert outputs["attention_early"].max() > 2 / 64  # not a flat map, which any weights would give


if __name__ == "__main__":
    write()
