"""Prepared copies of TensorFlow Datasets as people have them: versions, sizes, masks, damaged files."""

import io
import shutil
from typing import get_args

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from attention_keras.data.datasets import load_dataset, load_masked_images
from attention_keras.data.images import PictureFormat, read_image
from attention_keras.data.registry import Resize
from attention_keras.data.tfds import unreachable_hosts
from attention_keras.errors import UserError


@pytest.fixture(scope="module")
def mnist(prepare):
    """60 training and 20 test images of 28x28."""
    examples = [{"image": np.full((28, 28, 1), i, "uint8"), "label": i % 10} for i in range(60)]
    return prepare("mnist", {"train": examples, "test": examples[:20]})


def test_a_version_is_given_as_it_is_typed_or_as_it_lies_on_disk(mnist):
    for name in ("tfds:mnist", "tfds:mnist:3.0.1", "tfds:mnist/3.0.1", "tfds:mnist:3.*.*"):
        assert load_dataset(name, data_dir=mnist).image_shape == (28, 28, 3)
    with pytest.raises(UserError, match=r"cannot open 'mnist:2\.0\.0': .*3\.0\.1"):
        load_dataset("tfds:mnist/2.0.0", data_dir=mnist)


def test_birds_are_cut_to_their_boxes_with_masks(prepare):
    """A white bird of 40x20 pixels in a black image of 100x60 fills the cut image."""
    image, mask = np.zeros((100, 60, 3), "uint8"), np.zeros((100, 60, 1), "uint8")
    image[30:70, 20:40] = 255
    mask[30:70, 20:30] = 255
    bird = {
        "image": image,
        "image/filename": "a.jpg",
        "label": 7,
        "label_name": "a",
        "bbox": tfds.features.BBox(0.3, 1 / 3, 0.7, 2 / 3),
        "segmentation_mask": mask,
    }
    data_dir = prepare("caltech_birds2011", {"train": [bird] * 4, "test": [bird] * 2})
    dataset = load_dataset("cub200", data_dir=data_dir)
    assert dataset.image_shape == (80, 80, 3)
    assert dataset.num_classes == 200
    assert dataset.train.images[0].min() > 200
    np.testing.assert_array_equal(dataset.train.masks[0], np.arange(80) < np.full((80, 1), 40))
    assert load_dataset("cub200", data_dir=data_dir, image_size=32).image_shape == (32, 32, 3)


def test_any_classification_set(prepare):
    features = tfds.features.FeaturesDict(
        {
            "scan": tfds.features.Image(shape=(None, None, 1), dtype=np.uint16, encoding_format="png"),
            "kind": tfds.features.ClassLabel(names=["round", "square"]),
        }
    )
    examples = [{"scan": np.full((10 + i, 20, 1), 257 * i, "uint16"), "kind": i % 2} for i in range(20)]
    data_dir = prepare("scans", {"train": examples, "validation": examples[:4]}, features)
    dataset = load_dataset("tfds:scans", data_dir=data_dir)
    assert dataset.image_shape == (32, 32, 3) and dataset.class_names == ("round", "square")
    assert len(dataset.train) + len(dataset.validation) == 20
    np.testing.assert_array_equal(dataset.test().images[3], np.full((32, 32, 3), 3))
    assert load_dataset("tfds:scans", data_dir=data_dir, image_size=8).image_shape == (8, 8, 3)


def test_images_are_resized_as_files_are(prepare, tmp_path):
    """So that a model sees in `predict` and when it is served what it was trained on."""
    image, label = tfds.features.Image(shape=(None, None, 3)), tfds.features.ClassLabel(num_classes=2)
    features = tfds.features.FeaturesDict({"image": image, "label": label})
    rng = np.random.default_rng(0)
    stored = [rng.integers(0, 256, (20 + i, 90 - 5 * i, 3), "uint8") for i in range(10)]
    examples = [{"image": pixels, "label": i % 2} for i, pixels in enumerate(stored)]
    data_dir = prepare("shapes", {"train": examples, "test": examples}, features)
    for resize in get_args(Resize):
        test = load_dataset("tfds:shapes", data_dir=data_dir, image_size=24, resize=resize).test()
        for pixels, image in zip(stored, test.images):
            Image.fromarray(pixels).save(tmp_path / "a.png")
            file = read_image(tmp_path / "a.png", PictureFormat((24, 24), resize)).astype(int)
            assert np.abs(file - image).max() <= 1


def test_pets_borders_are_background(prepare):
    trimap = np.full((40, 40, 1), 2, "uint8")  # 1 pet, 2 background, 3 border
    trimap[:, :20], trimap[:, 20:25] = 1, 3
    example = {"file_name": "a", "image": np.full((40, 40, 3), 7, "uint8"), "label": 0, "species": 0}
    example |= {"segmentation_mask": trimap, "head_bbox": tfds.features.BBox(0.0, 0.0, 1.0, 1.0)}
    data_dir = prepare("oxford_iiit_pet", {"train": [example] * 3, "test": [example] * 3})
    to = PictureFormat((16, 16), "stretch")
    split = load_masked_images("tfds:oxford_iiit_pet", to, limit=2, data_dir=str(data_dir))
    assert split.images.shape == (2, 16, 16, 3) and (split.images == 7).all()
    assert split.masks[:, :, :8].all() and not split.masks[:, :, 8:].any()


@pytest.mark.parametrize("damage", ["missing", "cut", "garbled"])
def test_a_damaged_shard_is_one_line(damage, mnist, tmp_path):
    copy = shutil.copytree(mnist, tmp_path / "copy")
    for split in ("test", "train"):
        (shard,) = copy.glob(f"mnist/3.0.1/mnist-{split}.tfrecord*")
        content = shard.read_bytes()
        if damage == "missing":
            shard.unlink()
        else:
            shard.write_bytes(content[:-20] if damage == "cut" else b"\0" * len(content))
        with pytest.raises(UserError, match=r"is damaged: .*copy it again") as caught:
            load_dataset("tfds:mnist", data_dir=copy).test()
        assert str(copy / "mnist" / "3.0.1") in str(caught.value) and "\n" not in str(caught.value)


def test_a_damaged_description_of_a_set_of_ones_own_is_one_line(prepare, tmp_path):
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(8, 8, 3)), "label": tfds.features.ClassLabel(num_classes=2)}
    )
    examples = [{"image": np.zeros((8, 8, 3), "uint8"), "label": i % 2} for i in range(20)]
    own = prepare("own_set", {"train": examples}, features)
    for file in ("dataset_info.json", "features.json"):
        for number, content in enumerate((None, "{")):
            copy = shutil.copytree(own, tmp_path / file / str(number))
            path = copy / "own_set" / "1.0.0" / file
            path.unlink() if content is None else path.write_text(content)
            with pytest.raises(UserError, match="own_set") as caught:
                load_dataset("tfds:own_set", data_dir=copy)
            assert "\n" not in str(caught.value)


def test_one_host_that_answers_is_enough(monkeypatch):
    def connect(address, seconds):
        if address != ("there.example", 443):
            raise OSError
        return io.BytesIO()

    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr("socket.create_connection", connect)
    assert unreachable_hosts(["https://gone.example/a", "https://there.example/b"]) is None
    assert unreachable_hosts(["https://there.example:8/1", "http://b.example/2"]) == (
        "there.example:8 and b.example"
    )
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy:3128"})
    assert unreachable_hosts(["https://gone.example/a"]) is None


def test_missing_data_say_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(UserError) as caught:
        load_dataset("cifar10", data_dir=tmp_path)
    message = str(caught.value)
    assert f"no dataset in {tmp_path}/cifar10/3.0.2 and example.org cannot be reached" in message
    assert "tfds build cifar10 --data_dir DIR" in message and "cluttered_digits" in message
    monkeypatch.setattr("attention_keras.data.tfds.unreachable_hosts", lambda urls: None)
    monkeypatch.setattr(
        tfds.core.DatasetBuilder,
        "download_and_prepare",
        lambda self: (_ for _ in ()).throw(tfds.download.DownloadError("HTTP 404\nfor the file")),
    )
    with pytest.raises(UserError, match=r"cifar10 cannot be downloaded: HTTP 404 for the file; on a"):
        load_dataset("cifar10", data_dir=tmp_path)
