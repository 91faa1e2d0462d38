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


def test_a_version_is_given_as_it_is_typed_or_as_it_lies_on_disk(cifar10):
    for name in ("tfds:cifar10", "tfds:cifar10:3.0.2", "tfds:cifar10/3.0.2", "tfds:cifar10:3.*.*"):
        assert load_dataset(name, data_dir=cifar10).image_shape == (32, 32, 3)
    with pytest.raises(UserError, match=r"cannot open 'cifar10:2\.0\.0': .*3\.0\.2"):
        load_dataset("tfds:cifar10/2.0.0", data_dir=cifar10)


def test_birds_are_cut_to_their_boxes_with_masks(prepare):
    """A white bird of 40x20 pixels in a black image of 100x60 fills the cut image."""
    image, mask = np.zeros((100, 60, 3), "uint8"), np.zeros((100, 60, 1), "uint8")
    image[30:70, 20:40] = 255
    mask[30:70, 20:30] = 255
    bird = {"image": image, "image/filename": "a.jpg", "label": 7, "label_name": "a"}
    bird |= {"bbox": tfds.features.BBox(0.3, 1 / 3, 0.7, 2 / 3), "segmentation_mask": mask}
    data_dir = prepare("caltech_birds2011", {"train": [bird] * 4, "test": [bird] * 2})
    dataset = load_dataset("cub200", data_dir=data_dir)
    assert dataset.image_shape == (80, 80, 3) and dataset.num_classes == 200
    assert dataset.train.images[0].min() > 200
    np.testing.assert_array_equal(dataset.train.masks[0], np.arange(80) < np.full((80, 1), 40))


def test_any_set_is_resized_as_files_are(prepare, tmp_path):
    """So that `predict` and a served model see what training saw, here 16 bits of grey."""
    scan = tfds.features.Image(shape=(None, None, 1), dtype=np.uint16, encoding_format="png")
    kind = tfds.features.ClassLabel(names=["round", "square"])
    features = tfds.features.FeaturesDict({"scan": scan, "kind": kind})
    rng = np.random.default_rng(0)
    grey = [rng.integers(0, 256, (20 + i, 90 - 5 * i, 1), "uint16") for i in range(10)]
    examples = [{"scan": 257 * pixels, "kind": i % 2} for i, pixels in enumerate(grey)]
    data_dir = prepare("scans", {"train": examples, "validation": examples}, features)
    for resize in get_args(Resize):
        dataset = load_dataset("tfds:scans", data_dir=data_dir, image_size=24, resize=resize)
        assert dataset.image_shape == (24, 24, 3) and dataset.class_names == ("round", "square")
        assert len(dataset.train) + len(dataset.validation) == 10
        for pixels, image in zip(grey, dataset.test().images, strict=True):
            Image.fromarray(pixels[..., 0].astype("uint8")).save(tmp_path / "a.png")
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


def test_a_damaged_copy_is_one_line(prepare, tmp_path):
    image, label = tfds.features.Image(shape=(8, 8, 3)), tfds.features.ClassLabel(num_classes=2)
    examples = [{"image": np.zeros((8, 8, 3), "uint8"), "label": i % 2} for i in range(20)]
    features = tfds.features.FeaturesDict({"image": image, "label": label})
    own = prepare("own_set", {"train": examples, "test": examples}, features)
    for number, file in enumerate(("own_set-train*", "own_set-test*", "dataset_info.json", "features.json")):
        said = "is damaged: .*copy it again" if "own_set" in file else "own_set"
        copy = shutil.copytree(own, tmp_path / str(number))
        (path,) = copy.glob(f"own_set/1.0.0/{file}")
        for damaged in (path.read_bytes()[:-20], b""):
            path.write_bytes(damaged)
            with pytest.raises(UserError, match=said) as told:
                load_dataset("tfds:own_set", data_dir=copy).test()
            assert "\n" not in str(told.value)


def test_one_host_that_answers_or_a_proxy_is_enough(monkeypatch):
    def connect(address, seconds):
        if address[0] == "gone.example":
            raise OSError
        return io.BytesIO()

    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr("socket.create_connection", connect)
    assert unreachable_hosts(["https://gone.example/a", "https://there.example/b"]) is None
    assert unreachable_hosts(["https://gone.example:8/1"]) == "gone.example:8"
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy:3128"})
    assert unreachable_hosts(["https://gone.example/a"]) is None


def test_missing_data_say_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"3.0.2 and example.org cannot be reached.*tfds build cifar10"):
        load_dataset("cifar10", data_dir=tmp_path)
