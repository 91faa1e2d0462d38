"""The small network, for tests that ask for it."""

import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("small_network", Path(__file__).parent / "small_network.py")
small_network_module = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(small_network_module)


@pytest.fixture(scope="module")
def small_network():
    """Put the small smooth network in place of the zoo's for a module's tests."""
    patch = pytest.MonkeyPatch()
    patch.setattr("attention_keras.training.network.build_model", small_network_module.build_small_network)
    yield
    patch.undo()
