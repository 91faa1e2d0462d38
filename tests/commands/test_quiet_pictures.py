"""Odd pictures and odd names are read and drawn without a word from the libraries that do it."""

import csv
import os
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from attention_keras import build_model
from attention_keras.commands.command_line import exit_code
from attention_keras.commands.main import main

NAMES = ["日本語", "кот", "🐈"]  # the first and the last are in no font of Matplotlib's
RNG = np.random.default_rng(0)
PIXELS = Image.fromarray(RNG.integers(0, 256, (32, 32, 3), dtype="uint8"))
HUGE = b"P5 10000 10000 255 and no pixels"
CORRUPT = b"Exif\0\0II*\0\x08\0\0\0\x05\0no entries"


def odd_pictures(folder):
    """Sixteen of each kind, so that several threads have some: (name, whether it can be read)."""
    folder.mkdir()
    kinds = {
        "palette.png": lambda path: PIXELS.quantize(9).save(path, transparency=bytes(range(9))),
        "corrupt_exif.jpg": lambda path: PIXELS.save(path, exif=CORRUPT),
        "corrupt_exif.webp": lambda path: PIXELS.save(path, exif=CORRUPT),
        "corrupt.tiff": lambda path: path.write_bytes(b"II*\0\x08\0\0\0\x05\0no entries"),
        "huge.pgm": lambda path: path.write_bytes(HUGE),
    }
    for number in range(16):
        for name, save in kinds.items():
            save(folder / f"{number}_{name}")
    return 16 * 3, 16 * 2


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    model = build_model("vgg-att2-concat-dp", num_classes=3, width=0.03, init="keras")
    model.class_names = NAMES
    model.save("run/model.keras")
    return tmp_path


def test_predict_says_nothing_of_them(place, capfd):
    read, unread = odd_pictures(place / "new")
    assert exit_code(lambda: main(["predict", "run", "new", "--batch-size", "16"])) == 0
    said = capfd.readouterr()
    assert said.err == f"warning: {unread} files could not be read; their rows say why\n"
    with open("predictions/predictions.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(not row["reason"] for row in rows) == read and {row["class"] for row in rows} <= {*NAMES, ""}
    assert len(os.listdir("predictions/pictures")) == read


def test_who_asks_for_warnings_gets_them(monkeypatch):
    monkeypatch.setattr(sys, "warnoptions", ["default"])
    with warnings.catch_warnings():
        before = list(warnings.filters)
        assert exit_code(lambda: 0) == 0
        assert warnings.filters == before
