"""Tags, numbers and scans of many bits, each from bytes on disk to the served answer."""

import csv
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from attention_keras.commands.main import main
from attention_keras.data.datasets import load_dataset, seen_in_training
from attention_keras.errors import UserError
from attention_keras.evaluation.subjects.load import load_predictor
from attention_keras.runs.config import RunConfig
from attention_keras.runs.directory import Run
from attention_keras.serving.versions import read_card

SIDE = 32
COLOURS = {"blue": (40, 60, 230), "green": (40, 220, 60), "red": (230, 40, 50)}
TRAIN = (
    "train --dataset table:t.csv --backbone tiny.keras --preprocess raw --name tried --precision float32 "
    "--export served --epochs 0 --validation-fraction 0.3"
)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with a backbone that nothing was learned by, and a function that writes a table of squares."""
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    images = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 255)(images)
    keras.Model(images, keras.layers.Conv2D(24, 4, 4, activation="relu")(x)).save("tiny.keras")

    def write(count, label_of):
        """Grey noise, and for each colour a square or none; where it is, by name of the file."""
        draw, rows, places = np.random.default_rng(0), [], {}
        for number in range(count):
            pixels = draw.integers(90, 130, (SIDE, SIDE, 3)).astype("uint8")
            there = {}
            for name, quarter in zip(COLOURS, draw.permutation(4)):
                if draw.random() < 0.45:
                    top, left = 16 * (quarter // 2), 16 * (quarter % 2)
                    pixels[top + 4 : top + 12, left + 4 : left + 12] = COLOURS[name]
                    there[name] = (top, left)
            Image.fromarray(pixels).save(f"{number}.png")
            rows.append([f"{number}.png", label_of(there), f"p{number // 2}"])
            places[f"{number}.png"] = there
        with open("t.csv", "w", newline="") as stream:
            csv.writer(stream).writerows([["path", "label", "group"], *rows])
        return places

    return write


def rows_of(file):
    with open(file, newline="") as stream:
        return list(csv.DictReader(stream))


def served(names):
    """What the export says of these images, and the function that explains a class."""
    version = "served/tried/1"
    loaded = tf.saved_model.load(version).signatures
    pixels = np.stack([np.asarray(Image.open(name)) for name in names])
    return pixels, loaded, read_card(Path(version))


def test_tags(desk, capsys):
    places = desk(160, lambda there: ";".join(there))
    assert main(TRAIN.split()) == 0
    assert "test mAP" in capsys.readouterr().out
    run = Run("runs/tried")
    metrics, files = run.metrics(), run.files()
    assert metrics["test_mAP"] > 0.95 and metrics["test_F1"] > 0.9 and len(metrics["temperature"]) == 3
    assert run.class_names() == ["blue", "green", "red"]
    assert "" in {record.label for record in files.values()}, "an image without tags is data"
    patients = {name: int(Path(name).stem) // 2 for name in files}
    tested = [name for name, record in files.items() if record.role == "test"]
    assert not {patients[name] for name in tested} & {patients[name] for name in files.keys() - tested}
    assert metrics["test_images"] == len(tested) and len(seen_in_training(files)) == 160 - len(tested)
    assert main(["evaluate", "classification", "runs/tried"]) == 0
    measured = json.loads((run.evaluation / "classification.json").read_text())["values"]["tried"]
    assert measured["mAP"] == pytest.approx(metrics["test_mAP"], abs=1e-6)
    assert measured["groups"]["each, worst first"][0]["images"] == 2
    assert main(["predict", "runs/tried", *tested, "--output", "answers"]) == 0
    predicted = {row["path"]: row["tags"] for row in rows_of("answers/predictions.csv")}
    right = sum(predicted[name] == ";".join(sorted(places[name])) for name in tested)
    assert right / len(tested) > 0.8 and measured["exact"] == pytest.approx(right / len(tested))
    pixels, signatures, card = served(tested)
    assert card["activation"] == "sigmoid" and len(card["thresholds"]) == 3
    answers = {name: value.numpy() for name, value in signatures["classify"](images=pixels).items()}
    wanted = load_predictor("runs/tried")
    np.testing.assert_allclose(answers["probabilities"], wanted.predict(pixels)["probabilities"], atol=1e-5)
    said = [";".join(np.array(["blue", "green", "red"])[tags]) for tags in answers["tags"]]
    assert said == [predicted[name] for name in tested]
    inside = []
    for number, name in enumerate(["blue", "green", "red"]):
        explained = signatures["explain_class"](images=pixels, classes=np.full(len(pixels), number, "int32"))
        evidence = explained["evidence"].numpy()
        logits = evidence.sum(axis=(1, 2)) + explained["evidence_rest"].numpy()
        chances = 1 / (1 + np.exp(-logits / card["temperature"][number]))
        np.testing.assert_allclose(chances, answers["probabilities"][:, number], atol=1e-4)
        for level, file in zip(evidence, tested):
            if name in places[file]:
                y, x = np.unravel_index(level.argmax(), level.shape)
                top, left = places[file][name]
                inside.append(top + 2 <= y < top + 14 and left + 2 <= x < left + 14)
    assert np.mean(inside) > 0.9, "the evidence for a tag peaks in its own square"
    with pytest.raises(UserError, match=r"augment mixup is for images of one class .* tags"):
        main([*TRAIN.replace("tried", "mixed").split(), "--augment", "mixup"])
    with pytest.raises(UserError, match="maps is for images of one class each"):
        main(["evaluate", "maps", "runs/tried"])


def test_numbers(desk, capsys):
    places = desk(160, lambda there: 100 + 30 * len(there))
    assert main([*TRAIN.split(), "--labels", "number", "--columns", "label=label"]) == 0
    run = Run("runs/tried")
    metrics = run.metrics()
    assert metrics["test_R2"] > 0.9 and metrics["test_MAE"] < 10
    assert main(["evaluate", "classification", "runs/tried"]) == 0
    measured = json.loads((run.evaluation / "classification.json").read_text())["values"]["tried"]
    assert measured["R2"] == pytest.approx(metrics["test_R2"], abs=1e-5)
    tested = [name for name, record in run.files().items() if record.role == "test"]
    assert main(["predict", "runs/tried", *tested, "--output", "answers", "--format", "jsonl"]) == 0
    lines = [json.loads(line) for line in Path("answers/predictions.jsonl").read_text().splitlines()]
    errors = [abs(line["label"] - 100 - 30 * len(places[line["path"]])) for line in lines]
    assert np.mean(errors) == pytest.approx(metrics["test_MAE"], abs=1e-3)
    pixels, signatures, card = served(tested)
    explained = {name: value.numpy() for name, value in signatures["explain"](images=pixels).items()}
    np.testing.assert_allclose(explained["number"], [line["label"] for line in lines], rtol=1e-4)
    total = explained["evidence"].sum(axis=(1, 2)) + explained["evidence_rest"]
    np.testing.assert_allclose(total, explained["number"], rtol=1e-4)
    assert card["activation"] == "linear" and card["test_MAE"] == metrics["test_MAE"]


@pytest.mark.parametrize(("labels", "measure"), [("multi", "test_mAP"), ("number", "test_R2")])
def test_all_weights_learn(desk, labels, measure):
    """By gradient, with the weight of each image and both sides of a tag alike."""
    desk(64, lambda there: ";".join(there) if labels == "multi" else len(there))
    words = f"{TRAIN} --labels {labels} --frozen-epochs 0 --batch-size 16 --export none --learning-rate 0.01"
    words = words.replace("--epochs 0", "--epochs 4") + " --balance" * (labels == "multi")
    assert main(words.split()) == 0
    run = Run("runs/tried")
    losses = [record["loss"] for record in run.history()]
    assert losses[-1] < losses[0] and np.isfinite(run.metrics()[measure])


@pytest.mark.parametrize("kind", ["grey.png", "float.tif", "colours.png"])
def test_more_than_8_bits(desk, kind, caplog):
    """Scans of 12 bits, as floating point in TIFF, and of 16 bits in colour, of which Pillow gives 8.

    The range is that of the training images, or as given: then classes differ by 150 of 65536 values.
    """
    draw, rows, colours = np.random.default_rng(0), [], kind == "colours.png"
    for number in range(60):
        scan = draw.integers(*((1000, 1100) if colours else (500, 2500)), (SIDE, SIDE, 3))
        scan[4:20, 4:20, 1] += (150 if colours else 1400) * (number % 2)
        name = f"{number}{Path(kind).suffix}"
        if colours:
            Path(name).write_bytes(tf.io.encode_png(scan.astype("uint16")).numpy())
        else:
            dtype = "uint16" if kind == "grey.png" else "float32"
            Image.fromarray(scan[..., 1].astype(dtype)).save(name)
        rows.append([name, "ab"[number % 2]])
    with open("t.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([["path", "label"], *rows])
    assert main([*TRAIN.split(), *(["--range", "900", "1410"] if colours else [])]) == 0
    assert "pixels of more than 8 bits" in caplog.text
    run, (low, high) = Run("runs/tried"), load_predictor("runs/tried").value_range
    assert run.metrics()["test_error"] == 0
    assert (low, high) == (900, 1410) if colours else 499 < low < 520 and 3800 < high < 3900
    assert main(["evaluate", "classification", "runs/tried"]) == 0
    files = [name for name, record in run.files().items() if record.role == "test"]
    assert main(["predict", "runs/tried", *files, "--output", "answers"]) == 0
    assert read_card(Path("served/tried/1"))["value_range"] == [low, high]
    if kind != "float.tif":
        signatures = tf.saved_model.load("served/tried/1").signatures
        answers = signatures["serve_bytes"](image_bytes=[Path(name).read_bytes() for name in files])
        wanted = [float(row["probability"]) for row in rows_of("answers/predictions.csv")]
        np.testing.assert_allclose(answers["probabilities"].numpy().max(axis=1), wanted, atol=0.01)
        assert answers["valid"].numpy().all()


def test_five_channels(desk, caplog, capsys):
    """Arrays and TIFF of five pages; the classes differ in the fourth channel alone."""
    images = keras.Input((SIDE, SIDE, 5))
    x = keras.layers.Rescaling(1 / 255)(images)
    keras.Model(images, keras.layers.Conv2D(24, 4, 4, activation="relu")(x)).save("tiny.keras")
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
        arrays[f"{name.parent.name}/{name.name}"] = pixels
    words = TRAIN.replace("table:t.csv", "folder:photos").split()
    assert main([*words, "--channels", "5", "--augment", "flip+resized_crop"]) == 0
    run = Run("runs/tried")
    assert run.metrics()["test_error"] == 0
    assert "a model of 5 channels is served without files" in caplog.text
    assert main(["evaluate", "classification", "runs/tried"]) == 0
    files = [name for name, record in run.files().items() if record.role == "test"]
    assert main(["predict", "runs/tried", *(f"photos/{name}" for name in files), "--output", "answers"]) == 0
    said = rows_of("answers/predictions.csv")
    assert len(list(Path("answers/pictures").iterdir())) == len(files)
    low, high = read_card(Path("served/tried/1"))["value_range"]
    served = tf.saved_model.load("served/tried/1")
    levels = np.stack([arrays[name] for name in files]).astype("float32") - low
    pixels = np.rint((levels * (255 / (high - low))).clip(0, 255)).astype("uint8")
    answers = served.signatures["classify"](images=pixels)["probabilities"].numpy().max(axis=1)
    np.testing.assert_allclose(answers, [float(row["probability"]) for row in said], atol=1e-3)
    assert "serve_bytes" not in served.signatures
    Image.new("RGB", (SIDE, SIDE)).save("photos/a/wrong.jpg")
    capsys.readouterr()
    assert main([*words, "--channels", "5", "--augment", "flip+resized_crop"]) == 0
    assert "folder:photos has changed since: files 1 new" in capsys.readouterr().out.replace(
        str(Path.cwd()) + "/", ""
    )
    with pytest.raises(UserError, match=r"a/wrong.jpg \(3 channels, and the model takes 5\)"):
        load_dataset("folder:photos", channels=5)
    for wrong in (
        {"weights": "imagenet", "backbone": "keras:MobileNetV2"},
        {"preprocess": "yuv_lcn"},
        {"dataset": "cifar10"},
    ):
        with pytest.raises(UserError, match="for images of"):
            RunConfig(**{"dataset": "folder:photos", "channels": 5} | wrong)
