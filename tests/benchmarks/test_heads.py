"""The benchmark of heads on a backbone and a folder or table: splits by group, and its two tables."""

import sys

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from attention_keras.training import class_fit
from benchmarks import heads

COLOURS = {"blue": (30, 30, 200), "green": (30, 200, 30), "grey": (90, 90, 90), "red": (200, 30, 30)}
SIDE, SQUARE = 16, 6


@pytest.fixture
def folder(tmp_path):
    """Twelve images of each of four classes, a coloured square at a place that the table knows."""
    random, rows, place = np.random.default_rng(0), [], tmp_path / "images"
    for label, colour in COLOURS.items():
        (place / label).mkdir(parents=True)
        for index in range(12):
            pixels = random.integers(100, 130, (SIDE, SIDE, 3)).astype("uint8")
            top, left = (int(side) for side in random.integers(0, SIDE - SQUARE, 2))
            pixels[top : top + SQUARE, left : left + SQUARE] = colour
            path = f"{label}/{index}.png"
            Image.fromarray(pixels).save(place / path)
            box = {"left": left, "top": top, "right": left + SQUARE, "bottom": top + SQUARE}
            rows.append({"path": path, "label": label, "group": index // 2, **box})
    pd.DataFrame(rows).to_csv(place / "table.csv", index=False)
    return place


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """The rows of the tables that the benchmark prints of some data."""
    images = keras.Input((SIDE, SIDE, 3))
    keras.Model(images, keras.layers.AveragePooling2D(2)(images)).save(tmp_path / "backbone.keras")
    monkeypatch.setattr(class_fit, "STEPS", 60)

    def rows(data, *words):
        files = ["--backbone", tmp_path / "backbone.keras", "--cache", tmp_path / "cache.npy", "--data", data]
        words = [*files, *words, "--seeds", 2, "--preprocess", "MobileNetV2", "--maps", 3]
        monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, words)])
        heads.main()
        out = capsys.readouterr().out
        lines = [line.split("|")[1:-1] for line in out.splitlines() if line.startswith("| ")]
        return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in lines}

    return rows


def test_tables_of_a_table_with_boxes(folder, run, tmp_path):
    record = tmp_path / "record.csv"
    record.write_text("set,row,measure,seed,value\ntable,old,test error,0,1\nother,head,test error,0,2\n")
    rows = run(folder / "table.csv", "--record", record)
    assert rows["probe (logistic regression)"][1] == "0.0 ± 0.0"
    evidence = rows["**evidence**"]
    measures, random = (dict(zip(rows["map of the true class"], row)) for row in (evidence, rows["random"]))
    boxed = [f"{what} in box{which}" for which in ("", ", right answers") for what in ("peak", "mass")]
    assert list(measures) == ["peak in outer ring", *boxed, "insertion", "deletion"]
    assert float(measures["mass in box"].split()[0]) > float(random["mass in box"].split()[0]) + 10
    kept = pd.read_csv(record)  # of this set the new numbers alone
    assert kept.set.unique().tolist() == ["other", "table"] and "old" not in set(kept.row)
    seeds = kept.query("row == 'random' and measure == 'mass in box'").value
    assert f"{seeds.mean():.1f} ± {seeds.sem():.1f}" == random["mass in box"]


def test_a_folder_has_mosaics_and_no_boxes(folder, run):
    rows = run(folder, "--size", 20)
    measures = rows["map of the true class"]
    assert "own quarter" in measures and "mass in box" not in measures
    assert "one learned query and probe" in rows


def test_groups_stay_on_one_side(folder, tmp_path):
    data = heads.read(folder / "table.csv", lambda x: x, SIDE, tmp_path / "features.npy")
    train, test = data.split(0)
    assert len(train.labels) == 36 and not set(train.groups) & set(test.groups)
    boxes = data.rows[heads.BOX].to_numpy()
    np.testing.assert_allclose((boxes[:, 2:] - boxes[:, :2]) * SIDE, SQUARE)
