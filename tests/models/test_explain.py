"""explain(): its numbers against the model's own, arrays, files, names, drawings, and what it refuses."""

import csv
import json

import keras
import numpy as np
import pytest
from keras import layers

from attention_keras import attend, explain
from attention_keras.errors import UserError
from attention_keras.explaining.explain import logger

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype="uint8")


def classifier(classes=4, head="linear", **options):
    images = keras.Input((32, 32, 3))
    x = layers.Conv2D(6, 3, 4, name="early")(layers.Rescaling(1 / 127.5, offset=-1)(images))
    x = layers.Conv2D(8, 3, 2, name="late")(x)
    return attend(keras.Model(images, x), num_classes=classes, head=head, **options)


def plain(activation="softmax", classes=4, channels=3):
    images = keras.Input((32, 32, channels))
    x = layers.Conv2D(6, 3, 4, name="map")(layers.Rescaling(1 / 127.5, offset=-1)(images))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(classes, activation=activation)(x))


def test_the_evidence_of_the_asked_class_adds_up_to_its_logit():
    model = classifier()
    model.class_names, model.temperature = ["a", "b", "c", "d"], 2.0
    logits = model.predict(IMAGES, verbose=0)["logits"]
    centred = logits - logits.mean(-1, keepdims=True)
    order, each = np.argsort(-logits), np.arange(3)
    for of, classes in (("predicted", order[:, 0]), ("c", [2] * 3), (1, [1] * 3), (["d", 0, 2], [3, 0, 2])):
        e = model.explain(IMAGES, of=of)
        np.testing.assert_array_equal(e.classes, classes)
        total = sum(level.sum((1, 2)) for level in e.evidence.values())
        np.testing.assert_allclose(total + e.rest, centred[each, classes], atol=1e-5)
        np.testing.assert_allclose(e.total.sum((1, 2)), total, atol=1e-5)
        assert e.total.shape == (3, 32, 32) and list(e.evidence) == ["early", "late", "global"]
        assert list(e.attention) == ["early", "late"]
    second = explain(model, IMAGES, versus="second")
    said = ["{}, not {}".format(*("abcd"[k] for k in row[:2])) for row in order]
    assert [row["explained"] for row in second.rows()] == said
    difference = logits[each, order[:, 0]] - logits[each, order[:, 1]]
    np.testing.assert_allclose(second.total.sum((1, 2)) + second.rest, difference, atol=1e-5)
    everything = explain(model, IMAGES, of="all")
    np.testing.assert_allclose(everything.total.sum((1, 2)) + everything.rest, centred, atol=1e-5)
    softmax = np.exp(logits / 2) / np.exp(logits / 2).sum(-1, keepdims=True)
    np.testing.assert_allclose(everything.probabilities, softmax, atol=1e-6)
    assert everything.classes is None and everything.predicted.tolist() == order[:, 0].tolist()


def test_of_sigmoids_and_numbers_the_logit_itself_is_explained():
    for model, activation in (
        (classifier(1), "sigmoid"),
        (classifier(3, activation="sigmoid"), "sigmoid"),
        (plain("linear", 1), "linear"),
    ):
        e, found = explain(model, IMAGES, of=0), model.predict(IMAGES, verbose=0)
        logit = e.total.sum((1, 2)) + e.rest
        answer = 1 / (1 + np.exp(-logit)) if activation == "sigmoid" else logit
        expected = 1 / (1 + np.exp(-found["logits"])) if isinstance(found, dict) else found
        assert e.activation == activation
        np.testing.assert_allclose(answer, expected[:, 0], atol=1e-5)


def test_files_folders_one_image_and_images_of_other_channels(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    for name, image in zip(("b.png", "a.png", "c.png"), IMAGES):
        Image.fromarray(image).save(tmp_path / name)
    model, names = plain(), [str(tmp_path / name) for name in ("a.png", "b.png", "c.png")]
    with pytest.raises(UserError, match=r"no file or folder nowhere\.png"):
        explain(model, "nowhere.png")
    expected = explain(model, IMAGES[[1, 0, 2]]).total
    assert explain(model, tmp_path).names == names
    for given, count in ((tmp_path, 3), (names, 3), (IMAGES[1], 1), (names[0], 1)):
        np.testing.assert_allclose(explain(model, given).total, expected[:count], atol=1e-6)
    assert explain(plain(channels=1), tmp_path).images.shape == (3, 32, 32, 1)
    assert explain(plain(channels=4), np.ones((2, 32, 32, 4))).total.shape == (2, 32, 32)
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"cannot read .*a\.png: not an image"):
        explain(model, tmp_path)


def test_raw_pixels_for_an_application_are_warned_of(caplog):
    model = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=3)
    with caplog.at_level("WARNING", logger=logger.name):
        explain(model, IMAGES)
        assert "takes prepared pixels, and these look raw; say preprocess='MobileNetV2'" in caplog.text
        caplog.clear()
        prepared = explain(model, IMAGES, preprocess="MobileNetV2")
        same = explain(model, IMAGES / 127.5 - 1)
    assert "takes prepared pixels" not in caplog.text
    np.testing.assert_allclose(prepared.total, same.total, atol=1e-6)


def test_the_names_of_imagenet_are_those_that_keras_keeps(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    model = plain(classes=1000)
    assert explain(model, IMAGES).class_names[:2] == ["0", "1"]
    (tmp_path / "models").mkdir()
    index = {str(number): [f"n{number}", f"class_{number}"] for number in range(1000)}
    (tmp_path / "models" / "imagenet_class_index.json").write_text(json.dumps(index))
    assert explain(model, IMAGES, of="class 3").classes.tolist() == [3, 3, 3]


def test_drawings_and_tables(tmp_path):
    pytest.importorskip("matplotlib")
    e = explain(classifier(), IMAGES)
    paths = e.save(tmp_path)
    rows = list(csv.DictReader((tmp_path / "explanation.csv").read_text().splitlines()))
    assert list(rows[0]) == ["image", "predicted", "probability", "explained", "evidence", "rest", "drawing"]
    assert [tmp_path / row["drawing"] for row in rows] == paths and len(set(paths)) == 3
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    with pytest.raises(UserError, match="of one class"):
        explain(classifier(), IMAGES, of="all").draw(0)
    e.show(1)


def test_what_is_refused_in_one_line():
    model = classifier()
    for call, said in (
        (lambda: explain(model, IMAGES[:, :16]), r"takes images \(32, 32, 3\); got an array of shape"),
        (lambda: explain(model, IMAGES, of=7), "classes 0 to 3; got 7"),
        (lambda: explain(model, IMAGES, of="cat"), "no one class called 'cat'"),
        (lambda: explain(model, IMAGES, of=[1, 2]), "3 images and 2 classes"),
        (lambda: explain(plain("linear", 1), IMAGES, versus="second"), "needs a model of several classes"),
    ):
        with pytest.raises(UserError, match=said):
            call()
