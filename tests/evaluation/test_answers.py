"""Which images were answered how: the table of answers, the names under the images, and where both go."""

import csv

import keras
import numpy as np
from PIL import Image

from attention_keras.commands.evaluate import run
from attention_keras.evaluation.options import ClassificationOptions
from attention_keras.evaluation.subjects.dataset import one_of_each_class
from attention_keras.evaluation.tasks.answers import chosen_answers


def test_every_answer_is_written_with_the_file_it_is_about(tmp_path, monkeypatch):
    """By a model whose answer is the brightness of the image; nothing is written beside the model."""
    monkeypatch.chdir(tmp_path)
    for number, value in enumerate((250, 10, 240, 20)):
        file = tmp_path / "photos" / ("bright" if number < 2 else "dark") / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (value,) * 3).save(file)
    images = keras.Input((16, 16, 3))
    light = keras.layers.Dense(2, name="classifier")
    logits = light(keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 127.5, -1)(images)))
    light.set_weights([np.array([[1.0, -1.0]] * 3), np.zeros(2)])
    (tmp_path / "models").mkdir()
    keras.Model(images, {"logits": logits}).save(tmp_path / "models" / "light.keras")
    options = ClassificationOptions(("models/light.keras",), dataset="folder:photos")
    assert run(options, "evaluate.py models/light.keras") == 0
    folder = tmp_path / "evaluation" / "light"
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["light.keras"]
    with open(folder / "answers.csv", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["path"])
    assert [(row["path"], row["true"], row["predicted"]) for row in rows] == [
        ("photos/bright/0.png", "bright", "bright"),
        ("photos/bright/1.png", "bright", "dark"),
        ("photos/dark/2.png", "dark", "bright"),
        ("photos/dark/3.png", "dark", "dark"),
    ]
    sure = [float(row["probability"]) for row in rows]
    expected = [1 / (1 + np.exp(-6 * abs(value / 127.5 - 1))) for value in (250, 10, 240, 20)]
    np.testing.assert_allclose(sure, expected, rtol=1e-5)


def test_answers_worth_showing():
    """Wrong ones by confidence, right ones of as many classes as fit; neither takes the other's room."""
    probabilities = np.full((6, 3), 0.1)
    probabilities[range(6), [0, 0, 1, 1, 2, 0]] = [0.5, 0.8, 0.9, 0.4, 0.6, 0.7]
    labels = np.array([0, 1, 1, 2, 2, 2])  # wrong: 1 (0.8), 3 (0.4), 5 (0.7)
    wrong, right = chosen_answers(probabilities, labels, 4)
    assert (wrong.tolist(), right.tolist()) == ([1, 5], [0, 4])
    assert [len(rows) for rows in chosen_answers(probabilities, labels, 50)] == [3, 3]
    labels = np.array([2, 2, 0, 1, 0, 2])
    assert one_of_each_class(labels, 5).tolist() == [2, 3, 0, 4, 1]
    assert labels[one_of_each_class(labels, 2)].tolist() == [0, 2]
