"""A file saved under JAX, by the lowest Keras that the package supports, gives its numbers everywhere.

It has layers of this package and of Keras: contrasted pixels, two taps, additive scores, a classifier for
each tap, and weights, biases and statistics that are all drawn at random.
"""

from pathlib import Path

import numpy as np

from attention_keras import load_model

SAVED = Path(__file__).parent / "saved"


def test_outputs_are_those_it_was_saved_with():
    saved = dict(np.load(SAVED / "jax.npz"))
    outputs = load_model(SAVED / "jax.keras").predict(saved.pop("images"), verbose=0)
    assert set(outputs) == set(saved) == {"logits", "level_logits", "attention_early", "attention_late"}
    for name, expected in saved.items():
        np.testing.assert_allclose(outputs[name], expected, atol=1e-5, err_msg=name)
    assert outputs["attention_early"].max() > 2 / 64  # not a flat map, which any weights would give
