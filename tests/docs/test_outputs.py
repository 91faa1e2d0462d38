"""What docs/photographs.md shows as printed is what its commands print."""

import runpy
from pathlib import Path

import keras
import pytest

from attention_keras import build_model

SCRIPT = Path(__file__).parents[2] / "docs" / "write_outputs.py"
HANGS_ON_WEIGHTS_OR_TIME = ("loss", "error", "differ", "second", "exported")


@pytest.mark.slow
def test_its_commands_print_the_lines_of_the_page(tmp_path):
    """With a network of the demo's shape. The counts are those of the page, whatever the weights say."""
    outputs = runpy.run_path(str(SCRIPT))
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    pixels = keras.layers.Rescaling(1 / 128, offset=-1)
    network = build_model("vgg-att2-concat-scaled", width=0.125, num_classes=10, preprocess=pixels)
    network.save(tmp_path / "runs" / "demo" / "model.keras")
    printed = outputs["printed"](outputs["PAGE"].read_text(encoding="utf-8"), tmp_path)
    compared = 0
    for shown, lines in printed.items():
        for said, was in zip(shown.splitlines(), lines.splitlines(), strict=True):
            if not any(word in said for word in HANGS_ON_WEIGHTS_OR_TIME):
                compared += 1
                assert said == was
    assert compared >= 4
