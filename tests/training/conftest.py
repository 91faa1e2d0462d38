"""The small network, for tests that ask for it."""

import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("small_network", Path(__file__).parent / "small_network.py")
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)


@pytest.fixture(scope="session")
def small_network_module():
    """The module `small_network.py` beside this file."""
    return _MODULE


@pytest.fixture(scope="module")
def small_network(small_network_module):
    """Put the small smooth network in place of the zoo's for a module's tests."""
    patch = pytest.MonkeyPatch()
    patch.setattr("attention_keras.training.trainer.build_model", small_network_module.build_small_network)
    yield
    patch.undo()
