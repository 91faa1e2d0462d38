"""Files of models that were written before."""

from pathlib import Path

import keras
import numpy as np
import pytest

from attention_keras import load_model
from attention_keras.data.datasets import load_dataset


def test_a_model_with_a_batch_normalisation_of_this_package_loads_with_its_numbers():
    """Files made before Keras's own layer was used name another one; 0.917 is what its training measured."""
    model = load_model(Path(__file__).parent / "saved" / "fused_batch_norm.keras")
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert max(float(np.abs(layer.moving_mean).max()) for layer in norms) > 0.01  # trained, and loaded
    test = load_dataset("cluttered_digits", limit=60).test()
    logits = np.asarray(model(test.images.astype("float32"))["logits"])
    assert np.mean(logits.argmax(-1) != test.labels) == pytest.approx(0.9166666)
