"""Runs as training leaves them, with untrained networks."""

import keras
import pytest
from small_classifier import small

from attention_keras.data.datasets import load_dataset
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run

NAMES = ("vgg-att2-concat-dp", "vgg-att1-pc", "vgg-gap")


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Paths of runs of a dp, a pc and a gap network."""
    folder = tmp_path_factory.mktemp("runs")
    classes = load_dataset("cluttered_digits", limit=5).class_names
    for name in NAMES:
        keras.utils.set_random_seed(0)
        path = folder / name
        path.mkdir()
        with Run(path).writing(RunConfig(model=name, limit=60, name=name)):
            pass
        (path / "labels.txt").write_text("\n".join(classes))
        small(name).save(path / "model.keras")
    return [str(folder / name) for name in NAMES]
