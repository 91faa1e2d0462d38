"""Tags, numbers and scans of many bits or channels, each from bytes on disk to the served answer."""

import csv
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from attention_keras.commands.main import main
from attention_keras.data.datasets import seen_in_training
from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.load import load_predictor
from attention_keras.runs.directory import Run
from attention_keras.serving.versions import read_card

SIDE = 32
COLOURS = {"blue": (40, 60, 230), "green": (40, 220, 60), "red": (230, 40, 50)}
TRAIN = (
    "train --dataset table:t.csv --backbone tiny.keras --preprocess raw --name tried --precision float32 "
    "--export served --epochs 0 --validation-fraction 0.3"
)


@pytest.fixture(autouse=True)
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_backbone(3)


def save_backbone(channels):
    """One that nothing was learned by."""
    images = keras.Input((SIDE, SIDE, channels))
    x = keras.layers.Rescaling(1 / 255)(images)
    keras.Model(images, keras.layers.Conv2D(24, 4, 4, activation="relu")(x)).save("tiny.keras")


def write_table(*rows):
    with open("t.csv", "w", newline="") as stream:
        csv.writer(stream).writerows(rows)


def write_squares(count, label_of):
    """Grey noise, and for each colour a square or none; where it is, by name of the file."""
    draw, rows, places = np.random.default_rng(0), [], {}
    for number in range(count):
        name, pixels = f"{number}.png", draw.integers(90, 130, (SIDE, SIDE, 3)).astype("uint8")
        there = places[name] = {}
        for colour, quarter in zip(COLOURS, draw.permutation(4)):
            if draw.random() < 0.45:
                top, left = there[colour] = 16 * (quarter // 2), 16 * (quarter % 2)
                pixels[top + 4 : top + 12, left + 4 : left + 12] = COLOURS[colour]
        Image.fromarray(pixels).save(name)
        rows.append([name, label_of(there), f"p{number // 2}"])
    write_table(["path", "label", "group"], *rows)
    return places


def tried(words, folder="."):
    """Train, evaluate, predict: the run, what was measured, and the row of each test image."""
    assert main([*TRAIN.split(), *words.split()]) == 0
    run = Run("runs/tried")
    tested = [str(Path(folder, name)) for name, record in run.files().items() if record.role == "test"]
    assert main(["evaluate", "classification", "runs/tried"]) == 0
    measured = json.loads((run.evaluation / "classification.json").read_text())["values"]["tried"]
    assert main(["predict", "runs/tried", *tested, "--output", "answers"]) == 0
    with open("answers/predictions.csv", newline="") as stream:
        return run, measured, {row["path"]: row for row in csv.DictReader(stream)}


def served():
    version = Path("served/tried/1")
    return tf.saved_model.load(str(version)).signatures, read_card(version)


def pixels_of(names):
    return np.stack([np.asarray(Image.open(name)) for name in names])


def test_tags():
    places = write_squares(160, lambda there: ";".join(there))
    run, measured, rows = tried("")
    metrics, files = run.metrics(), run.files()
    assert metrics["test_mAP"] > 0.95 and metrics["test_F1"] > 0.9 and len(metrics["temperature"]) == 3
    assert run.class_names() == [*COLOURS]
    assert "" in {record.label for record in files.values()}, "an image without tags is data"
    patients = {name: int(Path(name).stem) // 2 for name in files}
    assert not {patients[name] for name in rows} & {patients[name] for name in files.keys() - rows.keys()}
    assert metrics["test_images"] == len(rows) and len(seen_in_training(files)) == 160 - len(rows)
    assert measured["mAP"] == pytest.approx(metrics["test_mAP"], abs=1e-6)
    assert measured["groups"]["each, worst first"][0]["images"] == 2
    right = np.mean([row["tags"] == ";".join(sorted(places[name])) for name, row in rows.items()])
    assert right > 0.8 and measured["exact"] == pytest.approx(right)
    (signatures, card), pixels = served(), pixels_of(rows)
    assert card["activation"] == "sigmoid" and len(card["thresholds"]) == 3
    answers = signatures["classify"](images=pixels)
    wanted = load_predictor("runs/tried").predict(pixels)["probabilities"]
    np.testing.assert_allclose(answers["probabilities"], wanted, atol=1e-5)
    said = [";".join(np.array([*COLOURS])[tags]) for tags in answers["tags"].numpy()]
    assert said == [row["tags"] for row in rows.values()]
    inside = []
    for number, name in enumerate(COLOURS):
        found = signatures["explain_class"](images=pixels, classes=np.full(len(pixels), number, "int32"))
        evidence = found["evidence"].numpy()
        logits = evidence.sum(axis=(1, 2)) + found["evidence_rest"].numpy()
        chances = 1 / (1 + np.exp(-logits / card["temperature"][number]))
        np.testing.assert_allclose(chances, answers["probabilities"][:, number], atol=1e-4)
        for level, file in zip(evidence, rows):
            if name in places[file]:
                y, x = np.unravel_index(level.argmax(), level.shape)
                top, left = places[file][name]
                inside.append(top + 2 <= y < top + 14 and left + 2 <= x < left + 14)
    assert np.mean(inside) > 0.9, "the evidence for a tag peaks in its own square"
    with pytest.raises(UserError, match=r"augment mixup is for images of one class .* tags"):
        main([*TRAIN.replace("tried", "mixed").split(), "--augment", "mixup"])
    with pytest.raises(UserError, match="maps is for images of one class each"):
        main(["evaluate", "maps", "runs/tried"])


def test_numbers():
    places = write_squares(160, lambda there: 100 + 30 * len(there))
    run, measured, rows = tried("--labels number --columns label=label")
    metrics, said = run.metrics(), [float(row["label"]) for row in rows.values()]
    assert metrics["test_R2"] > 0.9 and metrics["test_MAE"] < 10
    assert measured["R2"] == pytest.approx(metrics["test_R2"], abs=1e-5)
    errors = np.abs(np.array(said) - [100 + 30 * len(places[name]) for name in rows])
    assert errors.mean() == pytest.approx(metrics["test_MAE"], abs=1e-3)
    signatures, card = served()
    explained = {name: value.numpy() for name, value in signatures["explain"](images=pixels_of(rows)).items()}
    np.testing.assert_allclose(explained["number"], said, rtol=1e-4)
    total = explained["evidence"].sum(axis=(1, 2)) + explained["evidence_rest"]
    np.testing.assert_allclose(total, explained["number"], rtol=1e-4)
    assert card["activation"] == "linear" and card["test_MAE"] == metrics["test_MAE"]


@pytest.mark.parametrize("words", ["multi --balance", "number"])
def test_all_weights_learn(words):
    """By gradient, with the weight of each image and both sides of a tag alike."""
    write_squares(64, len if words == "number" else ";".join)
    more = f"--labels {words} --frozen-epochs 0 --epochs 4 --batch-size 16 --export none --learning-rate 0.01"
    assert main([*TRAIN.split(), *more.split()]) == 0
    lines = Path("runs/tried/history.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("kind", ["grey.png", "float.tif", "colours.png"])
def test_more_than_8_bits(kind, caplog):
    """Scans in grey, as floating point in TIFF, and of 16 bits in colour, of which Pillow gives 8.

    The range is that of the training images, or as given; classes differ by 150 of 65536 values.
    """
    draw, rows, colours = np.random.default_rng(0), [], kind == "colours.png"
    for number in range(60):
        scan = draw.integers(1000, 1100, (SIDE, SIDE, 3)).astype("float32" if ".tif" in kind else "uint16")
        scan[4:20, 4:20, 1] += 150 * (number % 2)
        name = f"{number}{Path(kind).suffix}"
        if colours:
            Path(name).write_bytes(tf.io.encode_png(scan).numpy())
        else:
            Image.fromarray(scan[..., 1]).save(name)
        rows.append([name, "ab"[number % 2]])
    write_table(["path", "label"], *rows)
    run, _, answers = tried("--range 900 1410" if colours else "")
    assert "pixels of more than 8 bits" in caplog.text and run.metrics()["test_error"] == 0
    low, high = load_predictor("runs/tried").value_range
    assert (low, high) == ((900, 1410) if colours else (1000, 1249))
    signatures, card = served()
    assert card["value_range"] == [low, high]
    if kind != "float.tif":
        found = signatures["serve_bytes"](image_bytes=[Path(name).read_bytes() for name in answers])
        wanted = [float(row["probability"]) for row in answers.values()]
        np.testing.assert_allclose(found["probabilities"].numpy().max(axis=1), wanted, atol=0.01)
        assert found["valid"].numpy().all()


def test_five_channels():
    """Arrays and TIFF of five pages; the classes differ in the fourth channel alone."""
    save_backbone(5)
    draw, arrays = np.random.default_rng(0), {}
    for number in range(60):
        pixels = draw.integers(900, 1300, (SIDE, SIDE, 5)).astype("int16")
        pixels[4:20, 4:20, 3] += 1400 * (number % 2)
        name = Path("photos", "ab"[number % 2], f"{number}.{'npy' if number % 3 else 'tif'}")
        name.parent.mkdir(parents=True, exist_ok=True)
        if number % 3:
            np.save(name, pixels)
        else:
            pages = [Image.fromarray(page.astype("uint16")) for page in np.moveaxis(pixels, -1, 0)]
            pages[0].save(name, save_all=True, append_images=pages[1:])
        arrays[str(name)] = pixels
    words = "--dataset folder:photos --channels 5 --augment flip+resized_crop"
    run, _, rows = tried(words, "photos")
    assert run.metrics()["test_error"] == 0
    assert len(list(Path("answers/pictures").iterdir())) == len(rows)
    signatures, card = served()
    low, high = card["value_range"]
    levels = np.stack([arrays[name] for name in rows]).astype("float32") - low
    pixels = np.rint((levels * (255 / (high - low))).clip(0, 255)).astype("uint8")
    answers = signatures["classify"](images=pixels)["probabilities"].numpy().max(axis=1)
    np.testing.assert_allclose(answers, [float(row["probability"]) for row in rows.values()], atol=1e-3)
    assert "serve_bytes" not in signatures
