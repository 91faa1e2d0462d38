"""A backbone of keras_hub by command, from a preset folder: trained, saved, and loaded by another process."""

import json

import numpy as np
import pytest

from attention_keras import attention_maps, load_model
from attention_keras.models.pretrained import build_preset, preset_pixels
from attention_keras.runs.config import RunConfig
from attention_keras.training.train import train

keras_hub = pytest.importorskip("keras_hub", reason="keras_hub is not installed")

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
LOAD = """
import sys, json, numpy as np
from attention_keras import load_model
print(json.dumps(np.asarray(load_model(sys.argv[1])(np.load(sys.argv[2]))["logits"]).tolist()))
"""


def test_a_run_trains_with_the_presets_pixels_and_another_process_gets_its_numbers(
    photos, tmp_path, monkeypatch, fresh_process
):
    """Of a tiny DINOv2 with registers, and its image converter."""
    monkeypatch.chdir(tmp_path)
    preset = str(tmp_path / "dino")
    size = {"patch_size": 14, "num_layers": 1, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 32}
    pixels = {"scale": list(1 / 255 / DEVIATION), "offset": list(-MEAN / DEVIATION)}
    converter = keras_hub.layers.DINOV2ImageConverter(image_size=(56, 56), **pixels)
    backbone = keras_hub.models.DINOV2Backbone(**size, num_register_tokens=4, image_shape=(56, 56, 3))
    for part in (backbone, converter):
        part.save_to_preset(preset)
    images = np.random.default_rng(1).integers(0, 256, (2, 56, 56, 3)).astype("float32")
    np.testing.assert_allclose(preset_pixels(preset)(images), converter(images), atol=1e-5)
    for given, places in (((), 21), (((84, 84, 3),), 41)):  # the size is the preset's or another
        assert build_preset(preset, *given).output.shape == (None, places, 16)

    config = RunConfig(dataset=f"folder:{photos}", backbone="keras_hub:dino", precision="float32", name="r")
    result = train(config, report=lambda line: None)
    here = load_model(result.run.path)(images)
    assert [tuple(level.shape) for level in attention_maps(here).values()] == [(2, 4, 4)]
    np.save("images.npy", images)
    there = fresh_process(LOAD, str(result.run.path.resolve()), str(tmp_path / "images.npy"))
    np.testing.assert_allclose(json.loads(there.splitlines()[-1]), here["logits"], atol=1e-5)
