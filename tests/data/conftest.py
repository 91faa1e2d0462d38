import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Downloads are told apart from reading by this: every host is out of reach."""
    monkeypatch.setattr("attention_keras.data.tfds.unreachable_hosts", lambda urls: "example.org")


@pytest.fixture(scope="session")
def prepare(tmp_path_factory):
    """Write a tiny prepared copy of a TensorFlow dataset; returns its data directory."""

    def prepare(name, splits, features=None):
        data_dir = tmp_path_factory.mktemp("tfds")
        builder = tfds.builder(name, data_dir=data_dir) if features is None else None
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version=str(builder.version) if builder else "1.0.0",
            data_dir=data_dir,
            features=features or builder.info.features,
            split_datasets={split: list(enumerate(examples)) for split, examples in splits.items()},
            disable_shuffling=True,
        )
        return data_dir

    return prepare


@pytest.fixture(scope="session")
def cifar10(prepare):
    """60 training and 20 test images; image i has value i (test: 100 + i) and label i mod 10."""

    def examples(count, first):
        for i in range(count):
            image = np.full((32, 32, 3), first + i, "uint8")
            yield {"id": str(i), "image": image, "label": i % 10}

    return prepare("cifar10", {"train": list(examples(60, 0)), "test": list(examples(20, 100))})


@pytest.fixture(scope="session")
def fill():
    """Write `count` images of each class below a folder: red tells the number, green the class."""

    def fill(root, classes="ab", count=10, first=0):
        for label, name in enumerate(classes):
            for number in range(count):
                path = root / name / f"{number:02}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (12, 10), (first + number, label, 0)).save(path)
        return root

    return fill
