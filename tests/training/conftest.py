"""The small network, for tests that ask for it."""

import pytest
from small_network import build_small_network


@pytest.fixture(scope="module")
def small_network():
    """Put the small smooth network in place of the zoo's for a module's tests."""
    patch = pytest.MonkeyPatch()
    patch.setattr("attention_keras.training.network.build_model", build_small_network)
    yield
    patch.undo()
