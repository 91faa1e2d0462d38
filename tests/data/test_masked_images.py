"""Images with masks from folders and from TensorFlow Datasets."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from attention_keras.data.datasets import load_masked_images
from attention_keras.data.geometry import PictureFormat
from attention_keras.errors import UserError

TO = PictureFormat((16, 16), "stretch")


def test_a_folder_of_images_and_masks(tmp_path):
    for name in ("Car", "Horse"):
        truth = tmp_path / name / "GroundTruth"
        truth.mkdir(parents=True)
        for index in range(3):
            image = np.full((20, 30, 3), 40 * index, "uint8")
            Image.fromarray(image).save(tmp_path / name / f"{index}.jpg", quality=100)
            mask = np.zeros((20, 30), "uint8")
            mask[:, :15] = 255
            Image.fromarray(mask).save(truth / f"{index}.png")
    (tmp_path / "Car" / "no-mask.jpg").write_bytes((tmp_path / "Car" / "0.jpg").read_bytes())
    split = load_masked_images(f"folder:{tmp_path}", TO, limit=4)
    assert split.images.shape == (4, 16, 16, 3) and split.masks.shape == (4, 16, 16)
    assert split.masks.mean() == pytest.approx(0.5)
    assert split.images[:, 0, 0, 0].round(-1).tolist() == [0, 0, 40, 40]  # round the sets in turn
    (tmp_path / "Car" / "0.jpg").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"cannot be read: Car/0\.jpg"):
        load_masked_images(f"folder:{tmp_path}", TO)


@pytest.mark.parametrize(("resize", "share"), [("crop", 1), ("stretch", 1 / 3), ("pad", 1 / 9)])
def test_images_and_masks_go_the_same_way(tmp_path, resize, share):
    """The object is the middle third of a picture three times as wide as high."""
    (tmp_path / "GroundTruth").mkdir()
    pixels = np.zeros((60, 180, 3), "uint8")
    pixels[:, 60:120] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "GroundTruth" / "a.png")
    split = load_masked_images(f"folder:{tmp_path}", PictureFormat((30, 30), resize))
    np.testing.assert_array_equal(split.masks[0], split.images[0, ..., 0] > 127)
    assert split.masks.mean() == pytest.approx(share)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tfds:cifar10", "allowed: folder:PATH"),
        ("folder:/nowhere", "is not a folder"),
        ("folder:.", "no image"),
    ],
)
def test_wrong_sources(name, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        load_masked_images(name, TO)


def test_pets_borders_are_background(tmp_path):
    builder = tfds.builder("oxford_iiit_pet", data_dir=tmp_path)
    trimap = np.full((40, 40, 1), 2, "uint8")  # 1 pet, 2 background, 3 border
    trimap[:, :20], trimap[:, 20:25] = 1, 3
    example = {
        "file_name": "a",
        "head_bbox": tfds.features.BBox(0.0, 0.0, 1.0, 1.0),
        "image": np.full((40, 40, 3), 7, "uint8"),
        "label": 0,
        "segmentation_mask": trimap,
        "species": 0,
    }
    tfds.dataset_builders.store_as_tfds_dataset(
        name="oxford_iiit_pet",
        version=str(builder.version),
        data_dir=tmp_path,
        features=builder.info.features,
        split_datasets={split: list(enumerate([example] * 3)) for split in ("train", "test")},
        disable_shuffling=True,
    )
    split = load_masked_images("tfds:oxford_iiit_pet", TO, limit=2, data_dir=str(tmp_path))
    assert split.images.shape == (2, 16, 16, 3) and (split.images == 7).all()
    assert split.masks[:, :, :8].all() and not split.masks[:, :, 8:].any()
