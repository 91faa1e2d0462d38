"""The benchmark of heads on a backbone and a folder or table: splits by group, and its two tables."""

import csv
import sys

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from attention_keras.training import class_fit
from benchmarks import groups, heads, tags

COLOURS = {"blue": (30, 30, 200), "green": (30, 200, 30), "grey": (90, 90, 90), "red": (200, 30, 30)}
SIDE, SQUARE = 16, 6


@pytest.fixture
def folder(tmp_path):
    """Twelve images of each of four classes, a coloured square at a place that the table knows."""
    random = np.random.default_rng(0)
    rows = []
    for label, colour in COLOURS.items():
        (tmp_path / "images" / label).mkdir(parents=True)
        for index in range(12):
            pixels = random.integers(100, 130, (SIDE, SIDE, 3)).astype("uint8")
            top, left = (int(side) for side in random.integers(0, SIDE - SQUARE, 2))
            pixels[top : top + SQUARE, left : left + SQUARE] = colour
            path = f"{label}/{index}.png"
            Image.fromarray(pixels).save(tmp_path / "images" / path)
            box = {"left": left, "top": top, "right": left + SQUARE, "bottom": top + SQUARE}
            rows.append({"path": path, "label": label, "group": index // 2, **box})
    with (tmp_path / "images" / "table.csv").open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path / "images"


def run(monkeypatch, capsys, tmp_path, data, *words, benchmark=heads):
    images = keras.Input((SIDE, SIDE, 3))
    keras.Model(images, keras.layers.AveragePooling2D(2)(images)).save(tmp_path / "backbone.keras")
    words = ["--backbone", tmp_path / "backbone.keras", "--data", data, *words, "--seeds", "2"]
    words += ["--preprocess", "MobileNetV2"]
    if benchmark is not tags:
        words += ["--cache", tmp_path / f"{data.name}.npy"]
    monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, words)])
    monkeypatch.setattr(class_fit, "STEPS", 60)
    benchmark.main()
    lines = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in lines}


def test_tables_of_a_table_with_boxes(folder, tmp_path, monkeypatch, capsys):
    record = tmp_path / "record.csv"
    record.write_text("set,row,measure,seed,value\ntable,old,test error,0,1\nother,head,test error,0,2\n")
    words = ("--maps", 3, "--record", record)
    rows = run(monkeypatch, capsys, tmp_path, folder / "table.csv", *words)
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


def test_a_folder_has_mosaics_and_no_boxes(folder, tmp_path, monkeypatch, capsys):
    rows = run(monkeypatch, capsys, tmp_path, folder, "--maps", 3, "--size", 20)
    assert (
        "own quarter" in rows["map of the true class"] and "mass in box" not in rows["map of the true class"]
    )
    assert "one learned query and probe" in rows


def test_groups_stay_on_one_side(folder, tmp_path):
    data = heads.read(folder / "table.csv", lambda x: x, SIDE, tmp_path / "features.npy")
    train, test = data.split(0)
    assert len(train.labels) == 36 and not set(train.groups) & set(test.groups)
    boxes = data.rows[heads.BOX].to_numpy()
    np.testing.assert_allclose((boxes[:, 2:] - boxes[:, :2]) * SIDE, SQUARE)


def test_groups_and_images_are_split_with_an_error_each(folder, tmp_path, monkeypatch, capsys):
    rows = run(monkeypatch, capsys, tmp_path, folder / "table.csv", benchmark=groups)
    errors = [float(rows[split][0].split()[0]) for split in ("split by group", "split image by image")]
    assert rows["split"] == ["test error"] and all(0 <= error < 50 for error in errors)  # chance is 75


def test_tags_of_scenes_are_told_and_shown_in_their_boxes(folder, tmp_path, monkeypatch, capsys):
    rows = run(monkeypatch, capsys, tmp_path, folder, "--train", 60, "--test", 20, benchmark=tags)
    assert float(rows["the class head's probe"][0].split()[0]) > 70
    peaks = {name: float(rows[name][0].split()[0]) for name in tags.SHOWN}
    assert peaks["**evidence**"] > peaks["random"] + 20
