"""The benchmark of streaming measures both sides of what it compares."""

import keras
import numpy as np
import pytest
from PIL import Image

from attention_keras.data.datasets import load_dataset
from benchmarks.streaming import main, measured, plain_batches, streamed_batches


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number in range(24):
        file = tmp_path / "photos" / "ab"[number % 2] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (40, 60, 3), dtype="uint8")
        Image.fromarray(pixels).save(file)
    return tmp_path / "photos"


@pytest.mark.parametrize("augment", ["flip", "flip+resized_crop"])
def test_the_rival_delivers_the_same_kind_of_batches(photos, augment):
    split = load_dataset(f"folder:{photos}", image_size=16, stream="on").train
    for make in (streamed_batches, plain_batches):
        images, labels = next(iter(make(split, 2, 4, augment)))
        assert images.shape == (4, 16, 16, 3) and images.dtype == "uint8" and labels.shape == (4, 2)


def test_turns():
    order = []
    measures = {name: lambda name=name: order.append(name) or 1.0 for name in "ab"}
    assert measured(measures, 2) == {"a": [1.0, 1.0], "b": [1.0, 1.0]} and order == list("abba")


def test_the_table(photos, tmp_path, capsys):
    images = keras.Input((16, 16, 3))
    keras.Model(images, keras.layers.Conv2D(4, 3, 2)(images)).save(tmp_path / "b.keras")
    words = ["--size", "16", "--batch-size", "4", "--steps", "2", "--rounds", "1"]
    main(["--folder", str(photos), "--backbone", str(tmp_path / "b.keras"), *words])
    printed = capsys.readouterr().out
    assert "| random-resized crop | " in printed and "| whole pictures | " in printed
    assert "a step of fine-tuning takes " in printed
