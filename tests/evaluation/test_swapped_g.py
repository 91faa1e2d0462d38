"""Another image's global features move the attention of a trained network, if the score depends on them."""

import numpy as np
import pytest

from attention_keras.data.datasets import load_dataset
from attention_keras.evaluation.measures.agreement import movement
from attention_keras.evaluation.subjects.questions import questioned_maps
from attention_keras.runs.model_file import load_model
from attention_keras.runs.options import TrainOptions
from attention_keras.training.train import train


@pytest.mark.slow
def test_swapping_g_moves_the_map(tmp_path):
    """On the embedded digits, as `make demo` trains, for a shorter time."""
    settings = {"compat": "scaled", "limit": 1500, "epochs": 4, "panels": 0, "export": False}
    options = TrainOptions.of(**settings, precision="float32", run_dir=str(tmp_path), name="run")
    done = train(options, report=lambda line: None)
    images = np.asarray(load_dataset("cluttered_digits", limit=200).test().images[:24], "float32")
    own, asked = questioned_maps(load_model(done.run.path / "model.keras"), images[4:], images[:4])
    for tap in ("conv10", "conv13"):
        variation = movement(own[tap], asked[tap])["total_variation"]
        assert variation > 0.1, (tap, variation)
