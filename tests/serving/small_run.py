"""The small finished run that tests of serving export."""

import json

import numpy as np

from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run

NAMES = ["zero", "one", "two"]
TEMPERATURE = 2.5


def scatter(model):
    """Weights of classifiers and heads far from where they begin, as after training."""
    rng = np.random.default_rng(1)
    trained = ("classifier", "head", "probe", "scores_")
    for variable in model.weights:
        if any(name in variable.path for name in trained):
            shift = rng.normal(0, 0.5, variable.shape)
            variable.assign(variable + (np.abs(shift) if "variance" in variable.path else shift))
    return model


def write_run(path, model):
    """A finished run of a model."""
    path.mkdir(parents=True)
    model.save(path / "model.keras")
    with Run(path).writing(RunConfig()):
        pass
    (path / "labels.txt").write_text("\n".join(NAMES))
    (path / "metrics.json").write_text(json.dumps({"test_error": 0.5, "temperature": TEMPERATURE}))
    return path
