"""Datasets by name: what is read, what is not read yet, and mistakes in one line."""

import numpy as np
import pytest

from attention_keras.data import datasets
from attention_keras.data.datasets import load_dataset
from attention_keras.data.digits import generate_scenes as scenes
from attention_keras.data.pipeline import training_batches
from attention_keras.data.rows import DiskRows
from attention_keras.errors import UserError


def test_the_test_split_is_not_made_until_asked_for_and_digits_are_the_same_for_every_seed(monkeypatch):
    made = []
    monkeypatch.setattr(datasets, "generate_scenes", lambda *which: made.append(which) or scenes(*which))
    dataset = load_dataset("cluttered_digits", limit=10)
    assert made == [("train", 10), ("validation", 2)]
    assert len(dataset.test()) == 2 and dataset.test() is dataset.test() and made[2:] == [("test", 2)]
    other = load_dataset("cluttered_digits", limit=10, seed=9)
    np.testing.assert_array_equal(dataset.train.images, other.train.images)
    assert dataset.image_shape == (32, 32, 3) and dataset.num_classes == 10


def test_cifar10_as_prepared(cifar10):
    dataset = load_dataset("cifar10", data_dir=cifar10, validation_fraction=1 / 3)
    values = [split.images[:, 0, 0, 0] for split in (dataset.train, dataset.validation, dataset.test())]
    assert [len(value) for value in values] == [40, 20, 20]
    np.testing.assert_array_equal(np.sort(np.concatenate(values[:2])), np.arange(60))
    np.testing.assert_array_equal(values[2], 100 + np.arange(20))
    np.testing.assert_array_equal(dataset.train.labels, values[0] % 10)
    np.testing.assert_array_equal(np.bincount(dataset.validation.labels), [2] * 10)
    assert dataset.class_names[:3] == ("airplane", "automobile", "bird")
    assert dataset.train.masks is None
    limited = load_dataset("cifar10", data_dir=cifar10, limit=20, validation_fraction=0.5)
    values = np.concatenate([limited.train.images[:, 0, 0, 0], limited.validation.images[:, 0, 0, 0]])
    np.testing.assert_array_equal(np.sort(values), np.arange(20))
    assert len(limited.test()) == 4
    first, again, other = (
        load_dataset("cifar10", data_dir=cifar10, seed=seed).validation.images for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_set_above_the_memory_limit_is_read_from_disk(cifar10, tmp_path):
    options = {"data_dir": cifar10, "memory_limit": 1000, "cache_dir": tmp_path}
    on_disk, in_memory = load_dataset("cifar10", **options), load_dataset("cifar10", data_dir=cifar10)
    assert isinstance(on_disk.train.images, DiskRows)
    assert on_disk.train.images.shape == in_memory.train.images.shape == (54, 32, 32, 3)
    batches = [
        list(training_batches(d.train, num_classes=10, batch_size=16, seed=0, epochs=1).as_numpy_iterator())
        for d in (on_disk, in_memory)
    ]
    for (images, labels), (other_images, other_labels) in zip(*batches):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)
    folders = sorted(tmp_path.iterdir())
    assert len(folders) == 1 and not folders[0].name.startswith("unfinished")
    written = (folders[0] / "images.npy").stat().st_mtime_ns
    load_dataset("cifar10", **options, seed=5)
    assert (folders[0] / "images.npy").stat().st_mtime_ns == written, "written once for all seeds"


def test_images_in_both_train_and_test_are_counted(prepare, caplog):
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype="uint8")
    examples = [{"id": str(i), "image": image, "label": 0} for i, image in enumerate(images)]
    data_dir = prepare("cifar10", {"train": examples[:10], "test": examples[:2] + examples[10:]})
    dataset = load_dataset("cifar10", data_dir=data_dir, seed=3)
    dataset.test()
    held_out = (dataset.validation.images[0] == images[:2]).all(axis=(1, 2, 3)).sum()
    assert f"{2 - held_out} of 4 test images are also in train" in caplog.text


def test_mistakes_are_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for options, message in [
        ({"name": "cifer10"}, r"unknown dataset 'cifer10'; did you mean cifar10\? allowed: cluttered_digits"),
        ({"name": "./photos/"}, "unknown dataset './photos/'; did you mean folder:./photos/"),
        ({"name": "cluttered_digits", "validation_fraction": 0.3}, "has a validation split of its own"),
        ({"name": "cifar10", "skip_broken": True}, "skip_broken is for folder:PATH"),
        ({"name": "cifar10", "image_size": 64}, "images of cifar10 are 32 pixels wide"),
        ({"name": "tfds:no_such_set"}, "TensorFlow Datasets cannot open 'no_such_set'"),
        ({"name": "tfds:cifar10:9.9.9"}, "cannot open 'cifar10:9.9.9': .* only: 3.0.2"),
        ({"name": "tfds:glue/cola"}, "tfds:glue is not for image classification: it needs an Image"),
        ({"name": "folder:/no/such"}, "folder:/no/such is not a folder"),
    ]:
        with pytest.raises(UserError, match=message) as caught:
            load_dataset(**{"data_dir": tmp_path} | options)
        assert "\n" not in str(caught.value)


def test_labels_that_are_not_public_are_refused(prepare):
    examples = [{"id": str(i), "image": np.zeros((32, 32, 3), "uint8"), "label": i % 10} for i in range(20)]
    unknown = [example | {"label": -1} for example in examples[:3]]
    data_dir = prepare("cifar10", {"train": examples, "test": examples[:1] + unknown})
    dataset = load_dataset("cifar10", data_dir=data_dir)
    with pytest.raises(UserError, match=r"test split: 3 of 4 labels are not in 0..9 \(one is -1\)"):
        dataset.test()
