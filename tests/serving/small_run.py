"""The small finished run that tests of serving and of commands export, and helpers that all of them need."""

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


def write_run(path, model, names=NAMES, config=None, **metrics):
    """A run of a model; finished where it has metrics."""
    path.mkdir(parents=True)
    model.save(path / "model.keras")
    run = Run(path)
    with run.writing(config or RunConfig()):
        (path / "labels.txt").write_text("".join(f"{name}\n" for name in names))
    if metrics:
        (path / "metrics.json").write_text(json.dumps(metrics))
    return path


def same(answers, wanted, tolerance=1e-5):
    assert answers.keys() == wanted.keys()
    for name, value in answers.items():
        np.testing.assert_allclose(value, wanted[name], atol=tolerance, err_msg=name)
