"""The benchmark of attend() on a backbone and a folder: splits, features, the table."""

import keras
import numpy as np
import pytest
from PIL import Image

from attention_keras.errors import UserError
from benchmarks.attend_backbone import extract, main, read_folder, split


@pytest.fixture
def photos(tmp_path):
    """Two classes of ten images, told apart by their colour."""
    rng = np.random.default_rng(0)
    for name, colour in (("blue", (30, 30, 200)), ("red", (200, 30, 30))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(10):
            pixels = np.clip(rng.normal(colour, 20, (20, 24, 3)), 0, 255).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.png")
    return tmp_path / "photos"


def backbone():
    images = keras.Input((16, 16, 3))
    x = keras.layers.AveragePooling2D(2, name="early")(images)
    return keras.Model(images, keras.layers.AveragePooling2D(2, name="late")(x))


def test_a_split_is_stratified_and_its_parts_are_apart():
    labels = np.repeat([0, 1], 50)
    train, test = split(labels, 3)
    assert np.bincount(labels[train]).tolist() == [35, 35] and np.bincount(labels[test]).tolist() == [10, 10]
    assert not set(train) & set(test)
    assert set(test) != set(split(labels, 4)[1])


def test_features_are_the_backbones_on_preprocessed_pixels(photos):
    images, labels, names = read_folder(photos, (16, 16))
    assert images.shape == (20, 16, 16, 3) and names == ["blue", "red"] and labels.sum() == 10
    features = extract(backbone(), ["early"], keras.layers.Rescaling(0.5), images, labels)
    expected = 0.5 * images.reshape(20, 8, 2, 8, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(features.taps["early"], expected, atol=1e-4)
    np.testing.assert_allclose(features.averaged_top(), 0.5 * images.mean(axis=(1, 2)), atol=1e-4)
    np.testing.assert_allclose(features.pooled(), features.averaged_top(), atol=1e-4)


def test_the_table(photos, tmp_path, capsys, monkeypatch):
    backbone().save(tmp_path / "backbone.keras")
    words = ["--backbone", str(tmp_path / "backbone.keras"), "--folder", str(photos), "--taps", "early"]
    words += ["--mean", "9", "9", "9", "--deviation", "50", "50", "50", "--seeds", "2", "--epochs", "1"]
    monkeypatch.setattr("sys.argv", ["attend_backbone", *words])
    main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    assert [row.split("|")[1].strip() for row in rows] == [
        "logistic regression, averaged top",
        "logistic regression, averaged taps",
        "`attend()`",
        "`LinearHead(score='mean')`",
        "`LinearHead(include_global=False)`",
        "`LinearHead(score='mean', include_global=False)`",
    ]
    assert all("| 0.0 ± 0.0 | 0.0, 0.0 |" in row for row in rows[:2])  # colours tell the classes apart
    for row in rows[2:]:
        errors = [float(value) for value in row.split("|")[3].split(",")]
        assert len(errors) == 2 and set(errors) <= {0.0, 25.0, 50.0, 75.0, 100.0}  # of four test images


def test_a_folder_without_classes_is_refused(tmp_path):
    with pytest.raises(UserError, match="a folder of images for each of at least two classes"):
        read_folder(tmp_path, (16, 16))
