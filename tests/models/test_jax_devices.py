"""On JAX, `DataParallel` of Keras trains what attend() returns: two devices compute what one computes."""

import json
import os

import numpy as np
import pytest

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
