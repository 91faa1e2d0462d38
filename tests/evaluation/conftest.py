"""Runs as training leaves them, with untrained networks."""

import keras
import pytest
from small_classifier import small
from small_run import write_run

from attention_keras.data.datasets import load_dataset
from attention_keras.runs.config import RunConfig


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Paths of runs of a dp, a pc and a gap network."""
    folder, paths = tmp_path_factory.mktemp("runs"), []
    for name in ("vgg-att2-concat-dp", "vgg-att1-pc", "vgg-gap"):
        keras.utils.set_random_seed(0)
        config = RunConfig(model=name, limit=60, name=name)
        names = load_dataset("cluttered_digits", limit=5).class_names
        paths.append(str(write_run(folder / name, small(name), names, config, temperature=2.5)))
    return paths
