"""A file saved under JAX, by the lowest Keras that the package supports, gives its numbers everywhere.

It has layers of this package and of Keras: contrasted pixels, two taps, additive scores, a classifier for
each tap, and weights, biases and statistics that are all drawn at random.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from attention_keras import load_model

SAVED = Path(__file__).parent / "saved"


def test_outputs_are_those_it_was_saved_with():
    saved = dict(np.load(SAVED / "jax.npz"))
    outputs = load_model(SAVED / "jax.keras").predict(saved.pop("images"), verbose=0)
    assert set(outputs) == set(saved) == {"logits", "level_logits", "attention_early", "attention_late"}
    for name, expected in saved.items():
        np.testing.assert_allclose(outputs[name], expected, atol=1e-5, err_msg=name)
    assert outputs["attention_early"].max() > 2 / 64  # not a flat map, which any weights would give


PROGRAM = """
import json, sys
import keras, jax, numpy as np
from attention_keras import attend

devices = jax.devices()[: int(sys.argv[1])]
if len(devices) > 1:
    names = [f"cpu:{device.id}" for device in devices]
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=names))
keras.utils.set_random_seed(0)
images = keras.Input((8, 8, 3))
x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(images)
model = attend(keras.Model(images, keras.layers.Conv2D(6, 3, strides=2, name="top")(x)), num_classes=3)
model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
rng = np.random.default_rng(0)
x, y = rng.uniform(0, 1, (32, 8, 8, 3)).astype("float32"), rng.integers(0, 3, 32)
history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history["loss"]
sums = [float(np.abs(weight).sum()) for weight in model.get_weights()]
print(json.dumps([len(model.layers[1].kernel.value.sharding.device_set), history, sums]))
"""


@pytest.mark.slow
def test_two_devices_train_as_one(fresh_process):
    """On JAX, `DataParallel` of Keras trains what attend() returns: two devices compute what one computes."""
    pytest.importorskip("jax")
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    environment["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    found = []
    for number in (1, 2):
        said = fresh_process(PROGRAM, str(number), env=environment)
        devices, losses, sums = json.loads(said.splitlines()[-1])
        assert devices == number and losses[-1] < losses[0]
        found.append([*losses, *sums])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4)
